package attack_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/measure"
)

// whoIsOnline is a round: the target always, each of the others with a probability.
func whoIsOnline(random *rand.Rand, users, target int, online float64) []bool {
	who := make([]bool, users)
	for i := range who {
		who[i] = i == target || random.Float64() < online
	}
	return who
}

// untilTwo is broken: it thinks that the target is found when two are left.
func untilTwo(users int, rounds [][]bool) int {
	x := attack.NewIntersection(users)
	for i, online := range rounds {
		if x.Round(online); x.Left() <= 2 {
			return i + 1
		}
	}
	return len(rounds)
}

func TestIntersection(t *testing.T) {
	const users, trials = 50, 1500
	for _, online := range []float64{0.5, 0.8} {
		random := seeded(uint64(400 + 10*online))
		left, lazy, rounds, hasty := 0.0, 0.0, 0.0, 0.0
		for range trials {
			target := random.IntN(users)
			x, skipping := attack.NewIntersection(users), attack.NewIntersection(users)
			var seen [][]bool
			for round := range 200 {
				who := whoIsOnline(random, users, target, online)
				seen = append(seen, who)
				if round < 4 {
					x.Round(who)
				}
				if round%2 == 0 && round < 4 {
					skipping.Round(who) // a broken one, which forgets every other round
				}
			}
			left += float64(x.Left())
			lazy += float64(skipping.Left())
			n, ok := attack.RoundsToFind(target, users, seen)
			if !ok || !x.Holds(target) {
				t.Fatal("the target was lost")
			}
			rounds += float64(n)
			hasty += float64(untilTwo(users, seen))
		}
		holds(t, fmt.Sprintf("intersection, left after 4 rounds, online %g", online), left/trials, lazy/trials,
			attack.IntersectionLeft(users, online, 4), 0.4)
		holds(t, fmt.Sprintf("intersection, rounds to be alone, online %g", online), rounds/trials, hasty/trials,
			attack.IntersectionRounds(users, online), 0.04*attack.IntersectionRounds(users, online))
	}
}

// Where everybody is always online, nothing is learned; where the target was not, he is lost.
func TestIntersectionOfNothing(t *testing.T) {
	x := attack.NewIntersection(8)
	for range 100 {
		x.Round(whoIsOnline(seeded(1), 8, 3, 1))
	}
	if p := x.Posterior(); x.Left() != 8 || p.Rank(3) != 4.5 || p.Entropy() != 3 {
		t.Error(x.Left(), p)
	}
	if _, ok := attack.RoundsToFind(3, 8, [][]bool{{true, false, false, false}}); ok {
		t.Error("found somebody who was not there")
	}
	if n := attack.IntersectionRounds(1, 0.5); n != 0 {
		t.Error(n)
	}
	if n := attack.IntersectionRounds(9, 0); n != 1 {
		t.Error(n)
	}
	if n := attack.IntersectionRounds(2, 1); !math.IsInf(n, 1) {
		t.Error(n)
	}
}

// danezis is rounds of a mix: user 0 writes to one of his friends, who are the first users, in each round, or in each
// other one; all others to anybody, or if there are idols, half of the time to those.
type danezis struct {
	users, friends, batch, rounds int
	idols                         bool
	everyOther                    bool
}

func (d danezis) run(random *rand.Rand) (rounds []attack.Round) {
	for i := range d.rounds {
		var r attack.Round
		for m := range d.batch {
			sender, receiver := 1+random.IntN(d.users-1), random.IntN(d.users)
			switch {
			case m == 0 && !(d.everyOther && i%2 == 1):
				sender, receiver = 0, random.IntN(d.friends)
			case d.idols && sender%3 == 0:
				receiver = d.users - 1 - sender/3%10 // each fan has one idol
			}
			r.Senders = append(r.Senders, uint32(sender))
			r.Receivers = append(r.Receivers, uint32(receiver))
		}
		rounds = append(rounds, r)
	}
	return rounds
}

func (d danezis) curve(shares []float64) measure.Curve {
	friends := make([]bool, d.users)
	for i := range d.friends {
		friends[i] = true
	}
	return measure.NewCurve(attack.Pairs(shares, friends))
}

// shareOf is the mean of what is estimated for friends and for others.
func (d danezis) shareOf(shares []float64) (friend, other float64) {
	for i, s := range shares {
		if i < d.friends {
			friend += s / float64(d.friends)
		} else {
			other += s / float64(d.users-d.friends)
		}
	}
	return friend, other
}

// raw counts what was received in the rounds of the target, and takes nothing away: a broken disclosure.
func (d danezis) raw(rounds []attack.Round) []float64 {
	shares := make([]float64, d.users)
	for _, r := range rounds {
		for _, u := range r.Receivers {
			shares[u] += 1 / float64(len(rounds))
		}
	}
	return shares
}

func TestDisclosure(t *testing.T) {
	const worlds = 60
	for i, d := range []danezis{{users: 200, friends: 10, batch: 30, rounds: 60}, {users: 100, friends: 5, batch: 50, rounds: 20}} {
		area, broken, friend, other, rawFriend := 0.0, 0.0, 0.0, 0.0, 0.0
		for world := range uint64(worlds) {
			rounds := d.run(seeded(500 + 100*uint64(i) + world))
			shares := attack.Disclose(rounds, d.users, 0)
			area += d.curve(shares).Area() / worlds
			broken += d.curve(attack.Disclose(rounds, d.users, 7)).Area() / worlds // of somebody else
			f, o := d.shareOf(shares)
			friend, other = friend+f/worlds, other+o/worlds
			f, _ = d.shareOf(d.raw(rounds))
			rawFriend += f / worlds
		}
		holds(t, fmt.Sprintf("disclosure, area, %d rounds of %d", d.rounds, d.batch), area, broken,
			attack.DisclosureArea(d.friends, d.users, d.batch, d.rounds), 0.025)
		holds(t, fmt.Sprintf("disclosure, share of a friend, %d rounds", d.rounds), friend, rawFriend, 1/float64(d.friends), 0.01)
		if !agree(other, 0, 0.005) {
			t.Errorf("others have a share of %.4f", other)
		}
	}
}

// Who knows the background by the rounds without the target, or explains all rounds at once, is not fooled by what others
// like.
func TestDisclosureWithIdols(t *testing.T) {
	const worlds = 30
	d := danezis{users: 60, friends: 4, batch: 20, rounds: 400, idols: true, everyOther: true}
	plain, squares, broken, share := 0.0, 0.0, 0.0, 0.0
	for world := range uint64(worlds) {
		rounds := d.run(seeded(700 + world))
		plain += d.curve(attack.Disclose(rounds, d.users, 0)).Area() / worlds
		broken += d.curve(d.raw(rounds)).Area() / worlds
		shares, err := attack.LeastSquares(rounds, d.users, 0)
		if err != nil {
			t.Fatal(err)
		}
		squares += d.curve(shares).Area() / worlds
		f, _ := d.shareOf(shares)
		share += f / worlds
	}
	t.Logf("area: disclosure %.4f, least squares %.4f, without background %.4f; share of a friend %.4f",
		plain, squares, broken, share)
	if plain < 0.98 || squares < 0.98 || broken > 0.92 || !agree(share, 0.25, 0.01) {
		t.Error("idols were taken for friends")
	}
	if _, err := attack.LeastSquares(nil, 9, 0); err == nil {
		t.Error("somebody who sent nothing has no shares")
	}
}

// Who writes to everybody alike has no friends to be found.
func TestDisclosureOfNothing(t *testing.T) {
	d := danezis{users: 50, friends: 50, batch: 10, rounds: 100, everyOther: true}
	var plain, squares []float64
	for seed := range uint64(60) {
		rounds := d.run(seeded(800 + seed))
		named := danezis{users: 50, friends: 8}
		plain = append(plain, named.curve(attack.Disclose(rounds, 50, 0)).Area())
		shares, err := attack.LeastSquares(rounds, 50, 0)
		if err != nil {
			t.Fatal(err)
		}
		squares = append(squares, named.curve(shares).Area())
	}
	chance(t, "disclosure of nothing, area", plain, 0.5)
	chance(t, "least squares of nothing, area", squares, 0.5)
}
