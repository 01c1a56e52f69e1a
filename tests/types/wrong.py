"""Each marked line is wrong: a type checker must name all of these lines, and no other."""

import numpy as np

import minirnn as mr

x, target = np.zeros((5, 8, 2)), np.zeros((8, 1))
model = mr.Sequential(mr.GRU(2, 4, rng=0), mr.Last(), mr.Linear(4, 1, rng=0))
data = (x, target)

mr.GRU(2, 4, reset="befor")  # expect: error
mr.RNN(2, 4, "sigmoid")  # expect: error
mr.LSTM("2", 4)  # expect: error
mr.LSTM(2, 4, peepholes=True)  # expect: error
mr.Linear(4.0, 1)  # expect: error
mr.Dropout("0.5")  # expect: error
mr.Sequential(mr.GRU(2, 4), mr.Last)  # expect: error
mr.Bidirectional(mr.GRU(2, 4), mr.GRU(2, 4), merge="add")  # expect: error
mr.LSTM(2, 4).forward("a sequence")  # expect: error
mr.LSTM(2, 4).step(x[0], (x[0],))  # expect: error
print(mr.LSTM(2, 4).hidden_sizes)  # expect: error
mr.Adam("0.01")  # expect: error
mr.SGD(0.1, momentun=0.9)  # expect: error
mr.fit(model, mr.mse, data, mr.Adam, 3)  # expect: error
mr.fit(model, mr.mse, data, mr.Adam(), "3")  # expect: error
mr.fit(model, mr.mse, data, mr.Adam(), 3, patiense=2)  # expect: error
mr.fit(model, mr.mse, data, mr.Adam(), 3, schedule=0.1)  # expect: error
mr.fit(model, data, mr.mse, mr.Adam(), 3)  # expect: error
mr.fit(model, lambda y, t: float(np.mean(y - t)), data, mr.Adam(), 3)  # expect: error
mr.fit(mr.GRU, mr.mse, data, mr.Adam(), 3)  # expect: error
mr.bptt(model, mr.mse, "a sequence", target)  # expect: error
mr.truncated_bptt(model, mr.mse, x, target, 1.5, 2)  # expect: error
mr.mse("prediction", target)  # expect: error
print(mr.mse(x, x).loss)  # expect: error
mr.gradcheck(model, x, method="centre")  # expect: error
mr.gradcheck(x, model)  # expect: error
mr.trace(model, "a sequence")  # expect: error
mr.fit(model, mr.mse, data, mr.Adam(), 3, metrics=["rmse"])  # expect: error
mr.fit(model, mr.mse, data, mr.Adam(), 3, on_epoch="stop")  # expect: error
mr.predict(model, x, batch_size="4")  # expect: error
mr.metrics.rmse("prediction", target)  # expect: error
mr.save("model.npz", model)  # expect: error
mr.load(model)  # expect: error
mr.clip_grad_norm(x, 1.0)  # expect: error
