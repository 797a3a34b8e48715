"""Looking inside a network: traces, gradients against differences, summaries, plans."""
