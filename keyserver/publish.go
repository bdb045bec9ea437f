package keyserver

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// ErrNotOurs says that a record is not one that this domain may publish.
var ErrNotOurs = errors.New("keyserver: record is not this domain's to publish")

// PublishCertificate keeps the certificate of an own user, as soon as it is
// signed and before she has a card. It must verify under the own CA now, else
// [ErrNotOurs]; a name that has another key on record is store.ErrOtherKey.
func (s *Server) PublishCertificate(ctx context.Context, cert pki.UserCert) error {
	if _, err := s.certifier(cert.Issuer()).VerifyUser(cert.DER(), s.config.Now()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return s.add(ctx, userKey(cert))
}

// PublishCard puts an own user's card, and the certificate in it, where it can
// be looked up. It must verify under the own CA, or one that handed over to it, now, else [ErrNotOurs]; an older
// card is store.ErrOldSerial, another key store.ErrOtherKey.
func (s *Server) PublishCard(ctx context.Context, card pki.SignedCard) error {
	card, err := s.certifier(card.Certificate.Issuer()).VerifyCard(card.Raw(), s.config.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	k := userKey(card.Certificate)
	k.Card, k.Serial = card.Raw(), card.Serial
	k.Entry = s.config.Log.entry(keylog.Card, k.Subject, sha256.Sum256(k.Card))
	return s.add(ctx, k)
}

func userKey(cert pki.UserCert) store.SignedKey {
	return store.SignedKey{
		Kind: store.KeyUser, Subject: cert.Name().String(), Fingerprint: cert.Key().Fingerprint(),
		Raw: cert.DER(), NotAfter: cert.NotAfter(),
	}
}

// PublishLink keeps the TLS certificate of an own node. It must verify under
// the own CA now, else [ErrNotOurs].
func (s *Server) PublishLink(ctx context.Context, link pki.LinkCert) error {
	leaf, err := x509.ParseCertificate(link.DER())
	if err == nil {
		err = s.ca().VerifyLink(leaf, s.config.Now())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return s.add(ctx, store.SignedKey{
		Kind: store.KeyLink, Subject: link.Domain().String(),
		Fingerprint: sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
		Raw:         link.DER(), NotAfter: link.NotAfter(),
	})
}

// PublishCross keeps a cross-certificate that the own federation root made.
// Only that root, which stays private, could verify it: the caller passes none
// but what Authority.Countersign returned. One over the own domain is refused.
func (s *Server) PublishCross(ctx context.Context, cross pki.CrossCert) error {
	if len(cross.DER()) == 0 || cross.Domain() == s.ca().Domain() {
		return ErrNotOurs
	}
	return s.add(ctx, store.SignedKey{
		Kind: store.KeyCross, Subject: cross.Domain().String(),
		Fingerprint: cross.Fingerprint(), Raw: cross.DER(), NotAfter: cross.NotAfter(),
	})
}

// PublishDescriptor puts a descriptor where it can be looked up and listed. The
// own one goes into the key ring too. For another domain's the caller has
// compared its CA with the pin. A descriptor that has ended, or one of the own
// domain under another CA, is [ErrNotOurs]; the store's ErrOldSerial and
// ErrOtherKey come through.
func (s *Server) PublishDescriptor(ctx context.Context, d pki.SignedDescriptor) error {
	if err := d.CheckTime(s.config.Now()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	if d.Domain == s.ca().Domain() {
		return s.publishOwn(ctx, d)
	}
	_, err := s.config.Store.PutServer(ctx, store.Server{
		Domain: d.Domain.String(), CA: d.CA.Fingerprint(), Serial: d.Serial,
		Descriptor: d.Raw(), NotAfter: d.Expires,
	})
	if err != nil {
		return fmt.Errorf("keyserver: publishing descriptor of %s: %w", d.Domain, err)
	}
	return nil
}

// publishOwn publishes the own descriptor. It is by the authority in office, so that it may
// take the place of one by a former.
func (s *Server) publishOwn(ctx context.Context, d pki.SignedDescriptor) error {
	if err := pki.CheckPin(s.ca().Fingerprint(), d.CA.Fingerprint(), d.Domain.String()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	k := store.SignedKey{
		Kind: store.KeyDescriptor, Subject: d.Domain.String(), Fingerprint: d.CA.Fingerprint(),
		Raw: d.Raw(), Serial: d.Serial, NotAfter: d.Expires,
		Entry: s.config.Log.entry(keylog.Authority, d.Domain.String(), d.CA.Fingerprint()),
	}
	err := s.add(ctx, k)
	if errors.Is(err, store.ErrOtherKey) {
		err = s.config.Store.ReplaceOwn(ctx, k)
		s.config.Log.kick()
	}
	return err
}

// add is the one road into key server, key ring and log (K5).
func (s *Server) add(ctx context.Context, k store.SignedKey) error {
	defer s.config.Log.kick()
	if err := s.config.Store.AddSigned(ctx, k); err != nil {
		return fmt.Errorf("keyserver: publishing %s of %s: %w", k.Kind, k.Subject, err)
	}
	return nil
}
