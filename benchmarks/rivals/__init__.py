"""What others would do, over HTTP beside the service: none of it authenticates or checks rules."""
