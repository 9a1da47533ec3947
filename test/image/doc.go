// Package image tests the image that the Dockerfile describes, on Linux, as root:
// it builds it as tools/image.sh does for anybody, reads what came out, and runs the
// program from the image's own files as a container would: as a user who is not
// root, in a root that cannot be written to, with nothing from outside but a spool.
//
// No image is pulled. The compiler's image is made from nothing and lent this
// machine's Go, module cache and build cache; the image below the program's is
// "scratch", as it is for anybody. It needs buildah, redis-server and bin/vault-dev;
// "make redis buildah tools-vault" installs and builds them.
package image
