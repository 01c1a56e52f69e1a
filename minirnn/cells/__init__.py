"""The recurrent cells, a chapter a file: read rnn.py, then lstm.py, then gru.py."""
