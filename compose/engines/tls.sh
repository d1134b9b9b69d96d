# shellcheck shell=bash disable=SC2154 # compose/lib.sh assigns.
# An authority of this state's own, and the certificate for localhost that the engines show to those who come by TLS.

tls_authority() { echo "$state/tls/authority.pem"; }

# Key and certificate in one file, as Kafka wants them; PostgreSQL gets copies of each.
tls_server() { echo "$state/tls/server.pem"; }

# Whether there is one; the engines do without where not.
tls_there() { [ -f "$(tls_server)" ]; }

tls_prepare() {
    local home=$state/tls
    ! tls_there || return 0
    need openssl openssl || return 1
    mkdir -p "$home"
    (
        umask 077
        cd "$home" || exit 1
        new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
        openssl req -x509 "${new[@]}" -subj "/CN=the engines of $(basename "$root")" -days 3650 \
            -keyout authority.key -out authority.pem &&
            openssl req "${new[@]}" -subj /CN=localhost -keyout server.key -out server.csr &&
            echo "subjectAltName=DNS:localhost,IP:127.0.0.1" >server.ext &&
            openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 3650 \
                -extfile server.ext -out server.crt &&
            cat server.key server.crt >server.part && mv server.part "$(tls_server)" && rm authority.key
    ) >"$home/log" 2>&1 || { tail -n 5 "$home/log" >&2; return 1; }
}
