"""From a prediction to better parameters: losses, gradients through time, optimizers, the loop."""
