"""minirnn: recurrent neural networks written out by hand, in NumPy and Numba.

A layer is a dictionary ``params`` and two functions::

    y, state, cache = layer.forward(x, state=None, lengths=None, training=False, rng=None)
    dx, dstate, grads = layer.backward(dy, cache, dstate=None)

Sequences are time first: x (T, B, D), states (B, H). Nothing is hidden in the layer between the two
calls. Start with ``minirnn/cells/textbook.py``.
"""

from minirnn import metrics
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.lstm_variants import LSTMVariant
from minirnn.cells.output_rnn import OutputRNN
from minirnn.cells.projected_lstm import ProjectedLSTM
from minirnn.cells.rnn import RNN
from minirnn.checking.gradcheck import gradcheck
from minirnn.engine.threads import get_num_threads, set_num_threads
from minirnn.files.model import about, load, save
from minirnn.generate import decode, free_run, predict, sample
from minirnn.labelling import ctc_align, ctc_decode, edit_distance, label_error_rate
from minirnn.layers.attention import BahdanauAttention, LuongAttention
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.conv import CausalConv
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding, Unembedding
from minirnn.layers.last import Last
from minirnn.layers.learned_state import LearnedState
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.layers.pooling import AttentionPool, Hierarchical
from minirnn.layers.recurrent_dropout import RecurrentDropout
from minirnn.layers.seq2seq import Seq2Seq
from minirnn.layers.sequential import Sequential
from minirnn.layers.zoneout import Zoneout
from minirnn.measure import trace
from minirnn.protocol import Layer, no_cache
from minirnn.training.bptt import bptt, truncated_bptt
from minirnn.training.ctc import ctc
from minirnn.training.fit import History, fit
from minirnn.training.losses import (
    binary_cross_entropy,
    class_weights,
    mse,
    softmax_cross_entropy,
)
from minirnn.training.optim import (
    SGD,
    Adagrad,
    Adam,
    RMSProp,
    clip_grad_norm,
    clip_grad_value,
    cosine,
    step_decay,
)
from minirnn.training.rtrl import rtrl
from minirnn.training.uncertainty import gaussian_interval, gaussian_nll, quantile_loss

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AttentionPool",
    "BahdanauAttention",
    "Bidirectional",
    "CausalConv",
    "Checkpoint",
    "Dropout",
    "Embedding",
    "Hierarchical",
    "History",
    "LSTMVariant",
    "Last",
    "Layer",
    "LayerNorm",
    "LearnedState",
    "Linear",
    "LuongAttention",
    "OutputRNN",
    "ProjectedLSTM",
    "RMSProp",
    "RecurrentDropout",
    "Seq2Seq",
    "Sequential",
    "Unembedding",
    "Zoneout",
    "about",
    "binary_cross_entropy",
    "bptt",
    "class_weights",
    "clip_grad_norm",
    "clip_grad_value",
    "cosine",
    "ctc",
    "ctc_align",
    "ctc_decode",
    "decode",
    "edit_distance",
    "fit",
    "free_run",
    "gaussian_interval",
    "gaussian_nll",
    "get_num_threads",
    "gradcheck",
    "label_error_rate",
    "load",
    "metrics",
    "mse",
    "no_cache",
    "predict",
    "quantile_loss",
    "rtrl",
    "sample",
    "save",
    "set_num_threads",
    "softmax_cross_entropy",
    "step_decay",
    "trace",
    "truncated_bptt",
]
