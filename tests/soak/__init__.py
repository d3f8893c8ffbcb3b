"""Long runs of the promises over real processes and sockets. README.md describes them."""
