"""What `make bench` measures, part by part. A part is a module with NAME and run(place, results); bench.py lists them."""
