"""The contestants: each module's `losses(setting, seeds)` are the test losses after training.

Each starts, steps and shuffles as its library does at its defaults; sizes, activation, loss,
learning rate, momentum, batch size and epochs are the setting's.
"""
