package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

const userHelp = `The users of this domain: whom to invite, who is there, whose name is to end. What is
said here comes from the node that serves, and from this machine only.`

const userInviteHelp = `Make an invitation: a code by which somebody takes a name here, once. In it are the key
of this domain and those of up to four peers, so that who comes by it need not believe
the first server that answers. Hand it over where nobody listens.

  p3do new ann@a.test --invite -      # and then the code, or a file with it`

const userSignHelp = `Sign the key of somebody whom you know. FILE is her request, one of PKCS #10 for an
Ed25519 key with her name as the only e-mail address, in PEM or DER. The certificate
goes onto the key server, and is printed.`

const userRevokeHelp = `End a name, everywhere and for good: within seconds no server takes it for a login. The key
that has it lives on, and whoever knows it knows it still. Nobody else gets the name until
you say so: p3dod user invite --for NAME.`

const userQuotaHelp = `Let a user send N messages an hour. Copies that are sent again and acknowledgements count.`

// maxRequest is how much of a request is read.
const maxRequest = 64 << 10

func userCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "invite users, and see to them", Long: userHelp, Args: cobra.NoArgs, RunE: help}
	list := &cobra.Command{Use: "list", Short: "show the users of this domain", Args: cobra.NoArgs}
	invited := list.Flags().Bool("invited", false, "show the invitations")
	list.RunE = func(c *cobra.Command, _ []string) error {
		if *invited {
			return listInvited(c, f)
		}
		return listUsers(c, f)
	}
	sign := &cobra.Command{Use: "sign FILE", Short: "sign somebody's key", Long: userSignHelp, Args: cobra.ExactArgs(1)}
	sign.RunE = func(c *cobra.Command, args []string) error { return signUser(c, f, args[0]) }
	revoke := &cobra.Command{Use: "revoke NAME", Short: "end a name", Long: userRevokeHelp, Args: cobra.ExactArgs(1)}
	revoke.RunE = func(c *cobra.Command, args []string) error { return revokeUser(c, f, args[0]) }
	quota := &cobra.Command{Use: "quota NAME N", Short: "say how much somebody may send", Long: userQuotaHelp, Args: cobra.ExactArgs(2)}
	quota.RunE = func(c *cobra.Command, args []string) error { return setQuota(c, f, args[0], args[1]) }
	c.AddCommand(inviteCommand(f), list, sign, revoke, quota)
	return c
}

func inviteCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "invite", Short: "invite somebody", Long: userInviteHelp, Args: cobra.NoArgs}
	name := c.Flags().String("for", "", "the name that it is for (default: any that is free)")
	expires := c.Flags().String("expires", days(node.InvitationLife), "how long it is good, like 7d or 12h")
	qr := c.Flags().Bool("qr", false, "draw it, for a telephone to look at")
	c.RunE = func(c *cobra.Command, _ []string) error {
		life, err := parseLife(*expires)
		if err != nil {
			return err
		}
		control, err := f.control()
		if err != nil {
			return err
		}
		invited, err := control.Invite(c.Context(), *name, life)
		if err != nil {
			return userFailure(err)
		}
		text := invitationText(invited)
		if *qr {
			picture, err := cli.QR(invited.Code)
			if err != nil {
				return err
			}
			text = picture + text
		}
		return f.print(c, invited, text)
	}
	return c
}

func invitationText(i node.Invited) string {
	who := "whoever has it first"
	if !i.For.IsZero() {
		who = i.For.String()
	}
	with := "no other domain: this one has no peers yet"
	if len(i.Others) > 0 {
		names := make([]string, len(i.Others))
		for n, other := range i.Others {
			names[n] = other.String()
		}
		with = strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s\n  for:        %s\n  works once, until %s\n  with the keys of this domain and of %s\n",
		i.Code, who, i.Expires.Format("2 Jan 2006"), with)
}

// days writes a life as parseLife reads it.
func days(life time.Duration) string { return fmt.Sprintf("%dd", int(life.Hours()/24)) }

// parseLife reads 7d, or what Go calls a duration.
func parseLife(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	life, err := time.ParseDuration(text)
	if err != nil {
		return 0, cli.Fail(cli.Input, "p3dod user invite --expires 7d", "%q is not a time like 7d or 12h.", text)
	}
	return life, nil
}

func listInvited(c *cobra.Command, f *flags) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	all, err := control.Invitations(c.Context())
	if err != nil {
		return userFailure(err)
	}
	var text strings.Builder
	for _, i := range all {
		who := i.For
		if who == "" {
			who = "anybody"
		}
		fmt.Fprintf(&text, "%s: %s, made %s, until %s", who, i.State, i.Made.Format("2 Jan 2006"), i.Expires.Format("2 Jan 2006"))
		if !i.Used.IsZero() {
			fmt.Fprintf(&text, ", used %s", i.Used.Format("2 Jan 2006"))
		}
		text.WriteByte('\n')
	}
	return f.print(c, all, text.String())
}

func listUsers(c *cobra.Command, f *flags) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	all, err := control.Users(c.Context())
	if err != nil {
		return userFailure(err)
	}
	if all == nil {
		all = []node.UserStatus{}
	}
	var text strings.Builder
	for _, u := range all {
		text.WriteString(userLine(u))
	}
	return f.print(c, all, text.String())
}

func userLine(u node.UserStatus) string {
	return fmt.Sprintf("%s: %s, until %s, %d messages an hour\n", u.Name, u.State, u.Expires.Format("2 Jan 2006"), u.Quota)
}

func signUser(c *cobra.Command, f *flags, name string) error {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxRequest {
		return cli.Fail(cli.Input, "", "%s is no request: it has %d bytes.", name, info.Size())
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return cli.Fail(cli.Input, "p3dod user sign FILE", "%v.", err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	if len(raw) > node.MaxRequest {
		return cli.Fail(cli.Input, "", "%s is no request: it has %d bytes.", name, len(raw))
	}
	control, err := f.control()
	if err != nil {
		return err
	}
	signed, err := control.SignUser(c.Context(), raw)
	if err != nil {
		return userFailure(err)
	}
	return f.print(c, signed, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed.Certificate})))
}

func revokeUser(c *cobra.Command, f *flags, name string) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	revoked, err := control.RevokeUser(c.Context(), name)
	if err != nil {
		return userFailure(err)
	}
	return f.print(c, revoked, fmt.Sprintf("%s has ended\n  its key lives on: %s\n", revoked.Name, revoked.Fingerprint))
}

func setQuota(c *cobra.Command, f *flags, name, number string) error {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return cli.Fail(cli.Input, "p3dod user quota "+name+" 100", "%q is not a number.", number)
	}
	control, err := f.control()
	if err != nil {
		return err
	}
	user, err := control.SetQuota(c.Context(), name, n)
	if err != nil {
		return userFailure(err)
	}
	return f.print(c, user, userLine(user))
}

// userFailure translates what a node says about users.
func userFailure(err error) error {
	if errors.Is(err, node.ErrInput) {
		_, why, _ := strings.Cut(err.Error(), node.ErrInput.Error()+": ")
		why = strings.TrimPrefix(why, node.ErrInput.Error()+": ")
		return cli.Fail(cli.Input, "p3dod user list", "%s.", strings.TrimPrefix(why, "pki: "))
	}
	return failure(err, "p3dod status")
}
