package attack

import (
	"errors"
	"math"

	"github.com/p3do/p3do/simulations/measure"
)

// A Round is what is seen of a mix, a relay or a stretch of time: the senders of all messages that went in, and the
// receivers of all that came out, an element for each message. What went in came out in the same round, or nearly so.
type Round struct{ Senders, Receivers []uint32 }

// Disclose is statistical disclosure: for each user, the share of the target's messages that seem to go to him. It is an
// estimate, and may be a little below 0. G. Danezis, Statistical disclosure attacks, SEC 2003; with N. Mathewson, R.
// Dingledine, Practical traffic analysis: extending and resisting statistical disclosure, PET 2004, from whom it takes
// what others do from the rounds without the target.
//
// The adversary knows who sent and who received how much in each round, under identities that repeat. She does not know
// which message is whose. She takes from what was received in the rounds of the target what the others, who sent the
// rest, usually have received, and divides by how much he sent. If he is in all rounds she takes the others for writing
// to all users alike. To find out who writes to somebody, exchange senders and receivers. The shares are of use as a
// measure.Posterior for their Rank alone.
func Disclose(rounds []Round, users int, target uint32) []float64 {
	with, without := make([]float64, users), make([]float64, users)
	his, others, background := 0, 0, 0
	for _, r := range rounds {
		sent := count(r.Senders, target)
		if sent == 0 {
			tally(without, r.Receivers, 1)
			background += len(r.Receivers)
			continue
		}
		tally(with, r.Receivers, 1)
		his += sent
		others += len(r.Senders) - sent
	}
	for i := range with {
		usual := 1 / float64(users)
		if background > 0 {
			usual = without[i] / float64(background)
		}
		with[i] = (with[i] - float64(others)*usual) / float64(max(1, his))
	}
	return with
}

// LeastSquares is the disclosure attack that explains all rounds at once: which shares of each sender's messages to each
// receiver fit best what was received. F. Pérez-González, C. Troncoso, Understanding statistical disclosure: a least
// squares approach, PETS 2012. The adversary knows what she knows in [Disclose], and makes use of who the others were in
// each round. It is for the same use, and better where others have habits too; time grows with the cube of the users. The
// error says that the target sent nothing.
func LeastSquares(rounds []Round, users int, target uint32) ([]float64, error) {
	together := make([][]float64, users) // how often two users sent in the same round
	for i := range together {
		together[i] = make([]float64, users)
	}
	for _, r := range rounds {
		for _, i := range r.Senders {
			if int(i) < users {
				tally(together[i], r.Senders, 1)
			}
		}
	}
	if int(target) >= users || together[target][target] == 0 {
		return nil, errors.New("attack: the target sent nothing in these rounds")
	}
	weights := column(together, int(target))
	shares := make([]float64, users)
	for _, r := range rounds {
		weight := 0.0
		for _, i := range r.Senders {
			if int(i) < users {
				weight += weights[i]
			}
		}
		tally(shares, r.Receivers, weight)
	}
	return shares, nil
}

// Pairs makes scores for a curve of what [Disclose] or [LeastSquares] found for each user, and who of them the target's
// correspondents are.
func Pairs(shares []float64, correspondent []bool) []measure.Score {
	scores := make([]measure.Score, len(shares))
	for i, s := range shares {
		scores[i] = measure.Score{Value: s, True: correspondent[i]}
	}
	return scores
}

// column is that of the inverse of a symmetric matrix, by Cholesky's decomposition, which overwrites the matrix. A trifle
// is added to the diagonal, for users who sent nothing, or always together.
func column(a [][]float64, which int) []float64 {
	n := len(a)
	for i := range n {
		a[i][i] += 1e-6
		for j := range i + 1 {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			if i == j {
				a[i][i] = math.Sqrt(math.Max(sum, 1e-12))
			} else {
				a[i][j] = sum / a[j][j]
			}
		}
	}
	x := make([]float64, n)
	x[which] = 1
	for i := range n {
		for k := range i {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= a[k][i] * x[k]
		}
		x[i] /= a[i][i]
	}
	return x
}

// tally adds a weight to each user for each time he is in a list.
func tally(to []float64, users []uint32, weight float64) {
	for _, u := range users {
		if int(u) < len(to) {
			to[u] += weight
		}
	}
}

func count(list []uint32, user uint32) (n int) {
	for _, u := range list {
		if u == user {
			n++
		}
	}
	return n
}
