"""CoAE: one-shot detection by co-attention and co-excitation (Hsieh et al., NeurIPS 2019), as OS2D compared with it."""
