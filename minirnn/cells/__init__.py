"""The recurrent cells: textbook.py first, in plain NumPy; then rnn.py, lstm.py, gru.py, compiled."""
