package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/admit"
)

func contextOf(body io.Reader, announced int64) echo.Context {
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = announced
	return echo.New().NewContext(r, httptest.NewRecorder())
}

// TestReadHeld: bodies of any length come whole, announced or not, and what
// they take of the budget can be given back.
func TestReadHeld(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 2*firstRead - 1, 2 * firstRead, 2*firstRead + 1, 1<<20 + 3} {
		text := strings.Repeat("x", size)
		for _, announced := range []int64{-1, int64(size)} {
			budget := admit.NewBudget(64 << 20)
			buf, held, err := ReadHeld(contextOf(strings.NewReader(text), announced), 8<<20, nil, budget)
			if err != nil || string(buf) != text || budget.Used() != held || int(held) != cap(buf) {
				t.Errorf("%d bytes announced as %d: %d bytes, %d of %d held, %v", size, announced, len(buf), held, budget.Used(), err)
			}
			if announced >= 0 && cap(buf) > 2*size+firstRead {
				t.Errorf("%d bytes take %d", size, cap(buf))
			}
		}
	}
}

// TestReadHeldIsBounded: who announces much and sends little holds little, and
// beyond the budget the answer is to come again.
func TestReadHeldIsBounded(t *testing.T) {
	budget := admit.NewBudget(1 << 20)
	broken := io.MultiReader(strings.NewReader("{"), &failing{})
	_, held, err := ReadHeld(contextOf(broken, 30<<20), 32<<20, nil, budget)
	var p *Problem
	if !errors.As(err, &p) || p.Code != "body_broken" || held > 2*firstRead {
		t.Errorf("%d held for one byte: %v", held, err)
	}
	_, more, err := ReadHeld(contextOf(bytes.NewReader(make([]byte, 4<<20)), -1), 32<<20, nil, budget)
	if !errors.As(err, &p) || p.Status != 503 || p.Code != "busy" || budget.Used() > 1<<20 {
		t.Errorf("%v, %d held", err, budget.Used())
	}
	budget.Give(held + more)
	if budget.Used() != 0 {
		t.Errorf("%d left", budget.Used())
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut") }

// TestEncode: a filter reads as it was typed.
func TestEncode(t *testing.T) {
	if b, err := Encode(map[string]string{"filter": `a < 5 && b > "x"`}); err != nil || string(b) != `{"filter":"a < 5 && b > \"x\""}`+"\n" {
		t.Errorf("%s, %v", b, err)
	}
}
