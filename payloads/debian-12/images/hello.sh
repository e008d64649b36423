#!/bin/sh
# Says hello once on the log, then the same on port 8080.
trap 'exit 0' TERM INT
hello="hello from the bundle, this is $(hostname)"
mkdir -p /tmp/www
echo "$hello" >/tmp/www/index.html
echo "$hello"
httpd -f -p 8080 -h /tmp/www &
wait
