"""Speech as quantised frames: mfcc, scaling, noise, codebook, rebuild, emotion, identity, quality."""
