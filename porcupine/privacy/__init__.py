"""What codes and embeddings disclose: occupancy, disclosure in bits, verification, identification."""
