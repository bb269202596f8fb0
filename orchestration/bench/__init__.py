"""How much time this program itself takes, stage by stage, beside the bare tools it stands on.

What is measured alternates with what it is compared with, so that a machine whose speed changes is fair to both.
"""
