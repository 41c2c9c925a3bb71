;;; graph.scm -- scattered writes into a big old graph.
;;;
;;; usage:     graph.scm [NODES] [STEPS] [WALKS] [SEED]
;;;            NODES  size of the graph, at least 2 (default 50000)
;;;            STEPS  number of changes (default 400000)
;;;            WALKS  how often the whole graph is walked on the way (default 8)
;;;            SEED   of the random numbers, positive (default 1)
;;; test-args: 8000 250000 4
;;;
;;; A page barrier learns of a write to an object when the page of the object is touched for the first time since the
;;; page was armed. It lives on locality: programs that write a lot mostly write to a few pages. This program does
;;; the opposite. It builds a graph, lets it grow old, and then changes one random edge of one random node at a time,
;;; so that nearly every change hits another page, dirties all of it for the sake of one word, and hides a reference
;;; from a collector that has already been there:
;;;
;;;   redirect   an edge gets another target: a store into an old pair. Its value is old as well, and may be the only
;;;              thing that changed about the graph that the collector has not seen;
;;;   renew      the first edge of a node is replaced by a fresh pair: a store from an old object to a young one;
;;;   exchange   two edges swap their targets: two references move, each behind the back of a collector that has
;;;              scanned one of the places but not the other;
;;;   replace    over the whole run, half as many times as there are nodes, a node retires. A fresh one gets its
;;;              place in the graph, its number and fresh edges to the same targets. Edges to the retired node are
;;;              not looked for: they keep it alive until they are redirected, or until a walk meets them and repairs
;;;              them. So old objects die here and there, and every page ends up with holes in it.
;;;
;;; From time to time a depth-first walk over all that the first node reaches writes the number of the walk into
;;; every node it visits and computes a hash of the order of the visits. Every change preserves the number of edges,
;;; which each walk checks; the hashes depend on the arguments alone.

(import (scheme base)
        (scheme write)
        (scheme process-context))

(define degree 4)

;; Random numbers: Park and Miller's generator, whose products fit small integers.

(define random-state 1)

(define (random! n)
  (set! random-state (modulo (* random-state 48271) 2147483647))
  (modulo random-state n))

;; A node refers to its targets directly, by a list of DEGREE nodes. VISITED is the number of the last walk that came
;; along, or RETIRED.

(define-record-type <node>
  (make-node id edges visited)
  node?
  (id node-id)
  (edges node-edges set-node-edges!)
  (visited node-visited set-node-visited!))

(define retired -1)

(define (retired? node)
  (= (node-visited node) retired))

(define (random-node graph)
  (vector-ref graph (random! (vector-length graph))))

;; A random edge: the pair whose car is the target.
(define (random-edge graph)
  (let ((node (random-node graph)))
    (list-tail (node-edges node) (random! degree))))

(define (make-graph size)
  (let ((graph (make-vector size)))
    (do ((id 0 (+ id 1)))
        ((= id size))
      (vector-set! graph id (make-node id '() 0)))
    (vector-for-each
     (lambda (node)
       (do ((i 0 (+ i 1)))
           ((= i degree))
         (set-node-edges! node (cons (random-node graph) (node-edges node)))))
     graph)
    graph))

;; The four changes.

(define (redirect! graph)
  (let ((edge (random-edge graph)))
    (set-car! edge (random-node graph))))

(define (renew! graph)
  (let ((node (random-node graph)))
    (set-node-edges! node (cons (random-node graph)
                                (cdr (node-edges node))))))

(define (exchange! graph)
  (let* ((one (random-edge graph))
         (other (random-edge graph))
         (target (car one)))
    (set-car! one (car other))
    (set-car! other target)))

(define (replace! graph)
  (let* ((old (random-node graph))
         (id (node-id old)))
    (vector-set! graph id (make-node id (list-copy (node-edges old)) 0))
    (set-node-edges! old '())
    (set-node-visited! old retired)))

(define (change! graph)
  (case (random! 4)
    ((0 1) (redirect! graph))
    ((2) (renew! graph))
    (else (exchange! graph))))

;; Visits all that the first node reaches. Returns the number of nodes visited, the number of edges repaired, and the
;; hash. The stack is a list of lists of edges still to be followed.
(define (walk! graph number)
  (define (mix hash n)
    (modulo (+ (* hash 31) n 1) 1000000007))
  (let loop ((stack (list (list (vector-ref graph 0))))
             (visited 0)
             (repaired 0)
             (hash 0))
    (cond ((null? stack)
           (values visited repaired hash))
          ((null? (car stack))
           (loop (cdr stack) visited repaired hash))
          (else
           (let* ((edges (car stack))
                  (rest (cons (cdr edges) (cdr stack)))
                  (target (car edges)))
             (cond ((retired? target)
                    (set-car! edges (vector-ref graph (node-id target)))
                    (loop stack visited (+ repaired 1) hash))
                   ((= (node-visited target) number)
                    (loop rest visited repaired hash))
                   (else
                    (set-node-visited! target number)
                    (loop (cons (node-edges target) rest)
                          (+ visited 1)
                          repaired
                          (mix hash (node-id target))))))))))

;; Whether every node is at its place and has as many edges as it should.
(define (sound? graph)
  (let loop ((id 0))
    (or (= id (vector-length graph))
        (let ((node (vector-ref graph id)))
          (and (= (node-id node) id)
               (not (retired? node))
               (= (length (node-edges node)) degree)
               (loop (+ id 1)))))))

(define (say . things)
  (for-each display things)
  (newline))

(define (report-walk! graph number step)
  (let-values (((visited repaired hash) (walk! graph number)))
    (say "step " step ": " visited " nodes reached, "
         repaired " edges repaired, hash " hash)
    (unless (sound? graph)
      (error "the graph is damaged" step))))

;; How many of COUNT things that are to happen evenly over the run are due at this step.
(define (due count step steps)
  (- (quotient (* count (+ step 1)) steps)
     (quotient (* count step) steps)))

(define (run nodes steps walks)
  (let ((graph (make-graph nodes))
        (replacements (quotient nodes 2)))
    (say nodes " nodes of degree " degree)
    (report-walk! graph 1 0)
    (let loop ((step 0) (walk 2))
      (when (< step steps)
        (change! graph)
        (do ((n (due replacements step steps) (- n 1)))
            ((= n 0))
          (replace! graph))
        (cond ((> (due walks step steps) 0)
               (report-walk! graph walk (+ step 1))
               (loop (+ step 1) (+ walk 1)))
              (else
               (loop (+ step 1) walk)))))
    (say "graph: " steps " changes, " replacements " nodes replaced, ok")))

(define (argument n default)
  (let ((arguments (cdr (command-line))))
    (if (< n (length arguments))
        (string->number (list-ref arguments n))
        default)))

(set! random-state (argument 3 1))
(run (argument 0 50000) (argument 1 400000) (argument 2 8))
