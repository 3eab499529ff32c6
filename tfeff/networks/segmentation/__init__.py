"""Networks that give each pixel a class, one system a file. The output is `logits`, a map at the head's stride."""
