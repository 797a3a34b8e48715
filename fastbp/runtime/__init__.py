"""A network at work: its state, the engines that compute on it, and the verbs that use them."""
