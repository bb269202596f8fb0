"""Descriptions of experiments and of the tables read from them: data, no logic."""
