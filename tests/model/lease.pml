/*
 * Leases, witnesses and take-over, small enough to be looked at in every state.
 *
 * A node A that owns a pool, its two witnesses (voter set {A, W0, W1}, majority 2), a manager that may
 * crash and start again at any instant, and a node B that gets the pool once the manager may take it
 * over. Checked in every state: A and B never run it together.
 *
 * Time: a tick makes everything one tick older. Ages stop growing where they no longer matter (CAP),
 * so the states are finite and the search knows no last moment. There is no drift here: the factor k
 * is arithmetic (docs/failure-model.md), and the simulator's to test.
 *
 * Messages: what was sent may be lost, doubled, delayed or overtaken. So it is kept, and may be taken
 * in at any later step, any number of times, or never. Of A's requests in flight only the youngest is
 * kept, and of the grants in flight only the one that reaches furthest: taking in an older one ends
 * A's lease earlier and makes the manager's books no younger, so it can break nothing more.
 *
 * Two rules of the design are not needed for safety here, and are kept as a second line: that an ended
 * lease stays ended, and that "granting has stopped" is durable before promises are asked for.
 *
 * With -DMUTANT=n one rule is left out, and spin must find the pool running twice: tests/model/run.
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#define NO_QUIET_START 1         /* a new manager forgets what the one before may have granted */
#define NO_RESTARTED_WITNESS 2   /* a restarted witness forgets what it granted */
#define ONE_PROMISE 3            /* one promise of two is thought to be enough */
#define PROMISE_FORGOTTEN 4      /* a promise does not survive the witness's restart */
#define GRANTS_GO_ON 5           /* the manager collects promises and goes on granting */
#define COUNTED_FROM_RECEIPT 6   /* the lease counts from the receipt of the grant, not from the beat */
#define NO_WAIT_FOR_STOP 7       /* the time that stopping takes is not waited for */
#define NO_WAIT_FOR_WITNESS 8   /* what the witnesses granted is not waited for */
#define NO_WAIT_FOR_GRANT 9     /* what the manager itself granted is not waited for */
#define WITHOUT_PROMISE 10       /* the manager's own wait alone is thought to be enough */
#define SAME_GENERATION 11       /* a node is admitted again without a new generation */
#define UNCONFIRMED 12           /* "I have no lease" is believed for B before A goes by its new admission */
#define ORDER_OF_ANY_GENERATION 13 /* a node takes orders of an admission that is over */

#define LEASE 2
#define STOP 1
#define CAP (LEASE + STOP)
#define NONE 7
#define GENERATIONS 3

/* -- node A -- */
bit a_running = 1;                  /* something of the pool runs */
unsigned a_left : 3 = LEASE;        /* of the lease, ticks; 0: ended */
unsigned a_generation : 2 = 1;
bit a_owner = 1;                    /* has taken an order of this generation to run the pool */
bit a_fresh = 0;                    /* admitted, and no grant has begun the lease yet */

/* -- in flight -- */
unsigned asked : 3 = NONE;          /* age of A's youngest request, to whomever */
unsigned granted : 3 = NONE;        /* age of the request that the furthest grant answers */

unsigned hello : 2 = 0;             /* newest admission of which A said: no lease, nothing runs */
unsigned welcome : 2 = 0;           /* newest admission that A was told of */
unsigned order : 2 = 0;             /* newest admission under which A was ordered to run the pool */

/* -- the manager: m_ is lost with the process, d_ is on its disk -- */
bit m_up = 1;
unsigned m_granted : 3 = 0;         /* age of its last grant, or of its start */
bit m_confirmed = 0;                /* has had a request of A under this admission: the one before is over */
bit m_promise[2];
byte m_live[2];             /* age of the last grant of that witness, as it said */
bit d_granting = 1;
unsigned d_generation : 2 = 1;
bit d_given = 1;                    /* ... or was given to A under this admission */
bit d_taken = 0;                    /* the pool is B's */

/* -- the witnesses -- */
byte w_granted[2] = CAP;    /* age of its last grant, or of its start */
bit w_heard[2];                     /* has heard A since its start, w_granted ago */
byte w_promised[2];         /* generations up to this get no more grants; on disk */

bit b_running = 0;

inline older(age)
{
	if
	:: age < CAP -> age++
	:: else
	fi
}

inline older_message(age)
{
	if
	:: age != NONE && age + 1 < LEASE -> age++
	:: else -> age = NONE /* a lease counted from it would be over */
	fi
}

inline extend(age)
{
	if
	:: (a_left > 0 || a_fresh) && LEASE - age > a_left ->
		a_left = LEASE - age;
		a_fresh = 0;
		a_running = a_owner
	:: else
	fi
}

inline grant_it()
{
	if
	:: granted == NONE || asked < granted -> granted = asked
	:: else
	fi
}

#define OVER(age) ((age) >= (MUTANT == NO_WAIT_FOR_STOP -> LEASE : LEASE + STOP))

inline witness(w)
{
	if
	/* extends the lease, unless it has promised not to */
	:: asked != NONE && a_generation > w_promised[w] ->
		grant_it(); w_granted[w] = 0; w_heard[w] = 1
	/* promises, unless it has heard A within a lease */
	:: m_up && !d_granting && !d_taken && !m_promise[w] && (!w_heard[w] || w_granted[w] >= LEASE) ->
		w_promised[w] = d_generation; m_promise[w] = 1; m_live[w] = w_granted[w]
	/* restarts: what it granted is forgotten, so its start counts as a grant; a promise stays */
	:: w_granted[w] != 0 || w_heard[w] ->
		w_heard[w] = 0;
		w_granted[w] = (MUTANT == NO_RESTARTED_WITNESS -> CAP : 0);
		if
		:: MUTANT == PROMISE_FORGOTTEN -> w_promised[w] = 0
		:: else
		fi
	fi
}

active proctype world()
{
	do
	/* a tick; the guard stops everything within STOP of the lease's end, so before the tick that ends it */
	:: atomic { !(a_running && a_left == 0) ->
		if
		:: a_left > 0 -> a_left--
		:: else
		fi;
		older_message(asked); older_message(granted);
		older(m_granted); older(w_granted[0]); older(w_granted[1]); older(m_live[0]); older(m_live[1]) }
	:: atomic { a_running && a_left == 0 -> a_running = 0; a_owner = 0 }

	:: atomic { (a_left > 0 || a_fresh) && asked != 0 -> asked = 0 }
	:: atomic { granted != NONE ->
		if
		:: MUTANT == COUNTED_FROM_RECEIPT -> extend(0)
		:: else -> extend(granted)
		fi }

	/* the manager grants, falls silent towards A before it collects promises, crashes, starts */
	:: atomic { m_up && asked != NONE && a_generation == d_generation && (d_granting || MUTANT == GRANTS_GO_ON) ->
		grant_it();
		if
		:: d_granting -> m_granted = 0; m_confirmed = 1
		:: else
		fi }
	:: atomic { m_up && d_granting && !d_taken && m_granted >= LEASE -> d_granting = 0 }
	:: atomic { m_up -> m_up = 0; m_promise[0] = 0; m_promise[1] = 0; m_live[0] = 0; m_live[1] = 0; m_granted = 0; m_confirmed = 0 }
	:: atomic { !m_up -> m_up = 1;
		m_granted = (MUTANT == NO_QUIET_START -> CAP : 0) }

	:: atomic { witness(0) }
	:: atomic { witness(1) }

	/* it takes over: |V| - q + 1 = 2 promises, and every lease that anybody granted is over and stopped */
	:: atomic { m_up && !d_granting && !d_taken &&
		((m_promise[0] && m_promise[1]) || (MUTANT == ONE_PROMISE && (m_promise[0] || m_promise[1])) ||
			MUTANT == WITHOUT_PROMISE) &&
		(OVER(m_granted) || MUTANT == NO_WAIT_FOR_GRANT) &&
		(MUTANT == NO_WAIT_FOR_WITNESS ||
			((OVER(m_live[0]) || !m_promise[0]) && (OVER(m_live[1]) || !m_promise[1]))) ->
		d_taken = 1; b_running = 1 }

	/* A says that it has no lease and runs nothing; is admitted again, and learns of it; is given the pool */
	:: atomic { !a_running && a_left == 0 && hello != a_generation -> hello = a_generation }
	:: atomic { m_up && hello != 0 && d_generation < GENERATIONS && hello == d_generation ->
		m_confirmed = 0;
		d_granting = 1; m_granted = 0;
		m_promise[0] = 0; m_promise[1] = 0; m_live[0] = 0; m_live[1] = 0;
		d_given = 0;
		if
		:: MUTANT == SAME_GENERATION -> welcome = d_generation
		:: else -> d_generation++; welcome = d_generation
		fi }
	:: atomic { !a_running && a_left == 0 && (welcome > a_generation || (MUTANT == SAME_GENERATION && welcome == a_generation && !a_fresh)) ->
		a_generation = welcome; a_fresh = 1; a_owner = 0; asked = NONE; granted = NONE }
	:: atomic { m_up && d_granting && !d_taken && order != d_generation -> order = d_generation; d_given = 1 }
	:: atomic { order != 0 && !a_owner && (order == a_generation || MUTANT == ORDER_OF_ANY_GENERATION) ->
		a_owner = 1; a_running = (a_left > 0) }
	/* ... or B is, once A has shown that it goes by the new admission and so by no grant of the one before */
	:: atomic { m_up && d_granting && !d_taken && !d_given && (m_confirmed || MUTANT == UNCONFIRMED) ->
		d_taken = 1; b_running = 1 }
	od
}

active proctype never_twice()
{
	atomic { a_running && b_running -> assert(false) }
}
