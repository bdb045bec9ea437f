package onion

import (
	"encoding/binary"
	"slices"
)

// hpkeLabels computes the labeled HKDF of HPKE (RFC 9180, section 4) for outputs of 32 bytes, for one KEM or one suite.
type hpkeLabels struct{ prefix []byte } // "HPKE-v1" | suite_id: what every label begins with

func newHPKELabels(suite string, ids ...uint16) hpkeLabels {
	prefix := []byte("HPKE-v1" + suite)
	for _, id := range ids {
		prefix = binary.BigEndian.AppendUint16(prefix, id)
	}
	return hpkeLabels{prefix}
}

// extract is LabeledExtract.
func (x hpkeLabels) extract(salt []byte, label string, ikm []byte) secret {
	return hmacSHA256(salt, x.prefix, []byte(label), ikm)
}

// expand is LabeledExpand for 32 bytes.
func (x hpkeLabels) expand(prk *secret, label string, info []byte) secret {
	return hmacSHA256(prk[:], []byte{0, 32}, x.prefix, []byte(label), info, []byte{1})
}

// hpkeExporter is the part of HPKE that this format uses: base mode, HKDF-SHA256, Export of one 32-byte secret with one
// exporter context. The AEAD of the suite only names it; nothing is sealed by HPKE. A complete HPKE derives for every
// layer a key, a nonce and a cipher that nobody asks for; the tests hold this one against two complete ones.
type hpkeExporter struct {
	labels  hpkeLabels
	context []byte // key_schedule_context of section 5.1: a constant, since there is no PSK and info is a constant
}

func newHPKEExporter(kem uint16, info string) hpkeExporter {
	const kdfSHA256, aeadAES256GCM, modeBase = 0x0001, 0x0002, 0x00
	labels := newHPKELabels("HPKE", kem, kdfSHA256, aeadAES256GCM)
	pskID := labels.extract(nil, "psk_id_hash", nil)
	infoHash := labels.extract(nil, "info_hash", []byte(info))
	return hpkeExporter{labels, slices.Concat([]byte{modeBase}, pskID[:], infoHash[:])}
}

// export is KeySchedule of the KEM's shared secret, then Context.Export(labelExport, 32).
func (x hpkeExporter) export(shared *secret) secret {
	s := x.labels.extract(shared[:], "secret", nil)
	exporter := x.labels.expand(&s, "exp", x.context)
	return x.labels.expand(&exporter, "sec", []byte(labelExport))
}
