"""The model artifact: manifest, tensors, folder, and their verification."""
