package document

import (
	"crypto/ed25519"
	"crypto/sha512"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// SignAll is Sign for many documents: the same signatures (RFC 8032), about a quarter cheaper each. Every signature needs the
// inverse of a number; here all of them come from the inverse of the product.
func SignAll(origin string, key ed25519.PrivateKey, docs []*Document) {
	expanded := sha512.Sum512(key.Seed())
	secret, _ := new(edwards25519.Scalar).SetBytesWithClamping(expanded[:32]) // 32 bytes always do
	nonces := make([]edwards25519.Scalar, len(docs))
	points := make([]point, len(docs))
	product, nonce := new(field.Element).One(), new(edwards25519.Point)
	for i, doc := range docs {
		hashed(&nonces[i], expanded[32:], doc.Digest[:])
		points[i].set(nonce.ScalarBaseMult(&nonces[i]), product)
	}
	inverse := product.Invert(product)
	public := key[ed25519.PublicKeySize:]
	for i := len(docs) - 1; i >= 0; i-- {
		doc, signature := docs[i], make([]byte, 0, ed25519.SignatureSize)
		signature = append(signature, points[i].encoded(inverse)...)
		s := hashed(new(edwards25519.Scalar), signature, public, doc.Digest[:])
		doc.Origin, doc.Signature = origin, append(signature, s.MultiplyAdd(s, secret, &nonces[i]).Bytes()...)
	}
}

// hashed is SHA-512 of some bytes as a scalar.
func hashed(into *edwards25519.Scalar, parts ...[]byte) *edwards25519.Scalar {
	hash := sha512.New()
	for _, part := range parts {
		hash.Write(part)
	}
	into, _ = into.SetUniformBytes(hash.Sum(nil)) // 64 bytes always do
	return into
}

// point is one of the curve in projective coordinates, with the product of the z of all before it.
type point struct{ x, y, z, before field.Element }

// set takes in a point, and its z into the product.
func (p *point) set(from *edwards25519.Point, product *field.Element) {
	x, y, z, _ := from.ExtendedCoordinates()
	p.x, p.y, p.z, p.before = *x, *y, *z, *product
	product.Multiply(product, z)
}

// encoded is the point as RFC 8032 writes it. It takes the inverse of the product of all z up to its own, and leaves that
// of those before it.
func (p *point) encoded(inverse *field.Element) []byte {
	z := new(field.Element).Multiply(inverse, &p.before)
	inverse.Multiply(inverse, &p.z)
	x, y := new(field.Element).Multiply(&p.x, z), new(field.Element).Multiply(&p.y, z)
	encoded := y.Bytes()
	encoded[31] |= byte(x.IsNegative() << 7)
	return encoded
}
