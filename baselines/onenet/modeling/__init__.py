"""The network of OneNet, part by part; names of parameters are those of the published checkpoints."""
