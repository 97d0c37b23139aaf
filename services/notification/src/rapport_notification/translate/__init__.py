"""Messages of the contract and what they mean here, each as the other."""
