package document

import (
	"crypto/ed25519"
	"crypto/sha256"
)

// MaxGroup is how many documents one Ed25519 signature is made for at most.
const MaxGroup = 8

// A signature of a group is an Ed25519 signature over the root of a tree of digests, the document's place among the
// leaves (one byte, its lowest bit for the lowest level), and the sibling at each level, from the document up. A node of
// the tree is the SHA-256 of a byte 1 and its two children; a document's own digest is one over bytes that begin with
// zeros (the length of its kind), so that no node can be taken for a document. Both texts that a key signs differ in
// length: 32 bytes are the digest of a single document.
const (
	groupText  = "thatch: a group of documents 1\n"
	groupHead  = ed25519.SignatureSize + 1
	groupDepth = 8 // levels that are read; more than are written
)

// SignGroup signs documents as Sign does each, up to MaxGroup of them with one signature: making one costs far more
// than hashing, and each document can still be checked by itself.
func SignGroup(documents []*Document, origin string, key ed25519.PrivateKey) {
	for size := MaxGroup; len(documents) > 0; {
		if size > len(documents) {
			size /= 2
			continue
		}
		signTree(documents[:size], origin, key)
		documents = documents[size:]
	}
}

// signTree signs a number of documents that is a power of two.
func signTree(documents []*Document, origin string, key ed25519.PrivateKey) {
	if len(documents) == 1 {
		documents[0].Sign(origin, key)
		return
	}
	proofs := make([][]byte, len(documents))
	level := make([]Digest, len(documents))
	for i, doc := range documents {
		level[i] = doc.Digest
		proofs[i] = append(make([]byte, ed25519.SignatureSize, groupHead+3*sha256.Size), byte(i))
	}
	for height := 0; len(level) > 1; height++ {
		for i := range proofs {
			sibling := level[(i>>height)^1]
			proofs[i] = append(proofs[i], sibling[:]...)
		}
		for i := range len(level) / 2 {
			level[i] = joint(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	signature := ed25519.Sign(key, groupMessage(level[0]))
	for i, doc := range documents {
		copy(proofs[i], signature)
		doc.Origin, doc.Signature = origin, proofs[i]
	}
}

// SignedBy says whether a signature, single or of a group, is the key's over a digest.
func SignedBy(key ed25519.PublicKey, digest Digest, signature []byte) bool {
	if len(key) != ed25519.PublicKeySize || len(signature) < ed25519.SignatureSize {
		return false
	}
	proof := signature[ed25519.SignatureSize:]
	if len(proof) == 0 {
		return ed25519.Verify(key, digest[:], signature)
	}
	place, siblings := int(proof[0]), proof[1:]
	depth := len(siblings) / sha256.Size
	if len(siblings)%sha256.Size != 0 || depth == 0 || depth > groupDepth || place>>depth != 0 {
		return false
	}
	node := digest
	for ; len(siblings) > 0; siblings = siblings[sha256.Size:] {
		sibling := Digest(siblings[:sha256.Size])
		if place&1 == 0 {
			node = joint(node, sibling)
		} else {
			node = joint(sibling, node)
		}
		place >>= 1
	}
	return ed25519.Verify(key, groupMessage(node), signature[:ed25519.SignatureSize])
}

func groupMessage(root Digest) []byte { return append([]byte(groupText), root[:]...) }

func joint(left, right Digest) Digest {
	var both [1 + 2*sha256.Size]byte
	both[0] = 1
	copy(both[1:], left[:])
	copy(both[1+sha256.Size:], right[:])
	return sha256.Sum256(both[:])
}
