#!/usr/bin/env bash
# Makes the certificates of the TLS tests anew: an authority, a server called app.test and a client, each with its key in
# the same file. They protect nothing: the keys are public.
set -euo pipefail
cd "$(dirname "$0")"
new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${new[@]}" -keyout authority.key -out authority.pem -subj '/CN=Prony test authority' -days 36500
for name in server client; do
    openssl req "${new[@]}" -keyout $name.key -out $name.csr -subj "/CN=Prony test $name"
    openssl x509 -req -in $name.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 36500 \
        -extfile <(echo 'subjectAltName=DNS:app.test') -out $name.crt
    cat $name.crt $name.key >$name.pem
done
rm -f ./*.key ./*.csr ./*.crt ./*.srl
