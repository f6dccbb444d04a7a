# openssl's digests, ciphers, keys and certificates.
# seconds: 300
source /programs/support/steps.bash
need openssl
cd /tmp || exit
{ # its error messages begin with the address of the thread
words "$(size 10000 200000)" >data
printf 'key material %d\n' {1..10} >small
for digest in md5 sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-224 sha3-256 sha3-384 sha3-512 shake128 shake256 blake2b512 blake2s256 sm3 ripemd160 md4 whirlpool; do
  openssl dgst -"$digest" data small 2>&1
  openssl dgst -"$digest" -hmac secret small 2>&1 | head -1
done
for cipher in aes-128-cbc aes-192-ecb aes-256-ctr aes-128-cfb aes-256-ofb aes-128-cfb8 camellia-256-cbc aria-128-cbc chacha20 des-ede3-cbc sm4-cbc seed-cbc rc4 bf-cbc cast5-cbc; do
  echo "== $cipher"
  openssl enc -$cipher -K 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff -iv 0123456789abcdef0123456789abcdef -in data -out packed 2>&1
  echo "[$?]"
  md5sum packed
  openssl enc -d -$cipher -K 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff -iv 0123456789abcdef0123456789abcdef -in packed 2>/dev/null | cmp - data
  openssl enc -$cipher -pbkdf2 -iter 1000 -S 0011223344556677 -pass pass:word -in small -a 2>&1
done
steps <<'STEPS'
openssl version
openssl list -digest-commands | md5sum
openssl list -cipher-commands | md5sum
openssl base64 -in small
openssl passwd -6 -salt abcdefgh password
openssl passwd -1 -salt abcdefgh password
openssl passwd -apr1 -salt abcdefgh password
openssl prime 1000000007 1000000011 170141183460469231731687303715884105727 170141183460469231731687303715884105729
openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:p -kdfopt salt:s -kdfopt iter:5000 PBKDF2
openssl kdf -keylen 32 -kdfopt pass:p -kdfopt salt:s -kdfopt n:1024 -kdfopt r:8 -kdfopt p:1 SCRYPT
openssl ecparam -name prime256v1 -text -noout -param_enc explicit
openssl dhparam -in /dev/null 2>&1 | wc -l
openssl genpkey -algorithm ED25519 -out ed.pem && openssl pkey -in ed.pem -pubout -out edpub.pem && openssl pkeyutl -sign -rawin -inkey ed.pem -in small -out sig && openssl pkeyutl -verify -rawin -pubin -inkey edpub.pem -in small -sigfile sig
openssl genrsa -out rsa.pem 1024 2>/dev/null && openssl rsa -in rsa.pem -check -noout && openssl dgst -sha256 -sign rsa.pem -out sig small && openssl dgst -sha256 -verify <(openssl rsa -in rsa.pem -pubout 2>/dev/null) -signature sig small
openssl ecparam -genkey -name secp384r1 -noout -out ec.pem && openssl dgst -sha384 -sign ec.pem -out sig small && openssl dgst -sha384 -prverify ec.pem -signature sig small
openssl req -x509 -newkey rsa:1024 -nodes -keyout k.pem -out c.pem -subj /CN=test -days 10 2>/dev/null && openssl verify -CAfile c.pem c.pem && openssl x509 -in c.pem -noout -subject -issuer
openssl genpkey -algorithm X25519 -out x1.pem; openssl genpkey -algorithm X25519 -out x2.pem; openssl pkeyutl -derive -inkey x1.pem -peerkey <(openssl pkey -in x2.pem -pubout) | md5sum >d1; openssl pkeyutl -derive -inkey x2.pem -peerkey <(openssl pkey -in x1.pem -pubout) | md5sum | cmp - d1
openssl asn1parse -genstr 'UTF8:hello' -noout -out der && openssl asn1parse -inform DER -in der
openssl rand 16 | wc -c
openssl no-such-command
openssl enc -d -aes-128-cbc -K 00 -iv 00 -in small
STEPS
} 2>&1 | sed -E 's/^[0-9A-F]{8}:error/THREAD:error/'
