;;; gcbench.scm -- trees of every lifetime: the classic GCBench.
;;;
;;; usage:     gcbench.scm [DEPTH] [MIN-DEPTH]
;;;            DEPTH      depth of the stretch tree, at least 6 (default 16; 18 is the original measure)
;;;            MIN-DEPTH  depth of the smallest trees (default 4)
;;; test-args: 15
;;;
;;; John Ellis and Pete Kovac of Post Communications wrote this benchmark, Hans Boehm of Silicon Graphics modified
;;; it, William Clinger brought it to Scheme; this is a fresh writing of the same load.
;;;
;;; The program first builds and drops one big tree, which stretches the heap. Then it keeps two things to its end: a
;;; tree two levels less deep, whose nodes are small and full of references, and a vector of as many flonums as four
;;; times the nodes of that tree, half of which it fills: one big old object that points to small ones. With these as
;;; ballast it builds trees of depth 4, 6, 8, ..., always so many that every depth allocates the same number of
;;; nodes: thousands of small trees that die at once, then fewer and fewer that live longer and longer. Each depth is
;;; done twice:
;;;
;;;   bottom up   children first, then a node that is never written again. No store ever hits an old object;
;;;   top down    the node first, then its children are stored into it. If a collection comes in between, the store
;;;               goes from an object the collector has seen to one it has not, which a write barrier must notice.
;;;
;;; After every cell of this table the program walks each tree and counts its nodes, which is 2^(depth+1)-1 unless
;;; the collector has lost or overwritten one. Nodes of the long-lived tree carry their number in breadth-first order
;;; (the root is 1, the children of n are 2n and 2n+1), so that a misplaced one is found out, too.

(import (scheme base)
        (scheme write)
        (scheme process-context))

;; J is not used: it keeps a node as large as the original's.
(define-record-type <node>
  (make-node left right i j)
  node?
  (left node-left set-node-left!)
  (right node-right set-node-right!)
  (i node-i set-node-i!)
  (j node-j))

(define (make-leaf)
  (make-node #f #f 0 0))

;; The number of nodes of a full binary tree.
(define (tree-size depth)
  (- (expt 2 (+ depth 1)) 1))

(define (bottom-up depth)
  (if (zero? depth)
      (make-leaf)
      (make-node (bottom-up (- depth 1))
                 (bottom-up (- depth 1))
                 0 0)))

;; Hangs a full tree of that depth below NODE.
(define (populate! node depth)
  (unless (zero? depth)
    (set-node-left! node (make-leaf))
    (set-node-right! node (make-leaf))
    (populate! (node-left node) (- depth 1))
    (populate! (node-right node) (- depth 1))))

(define (top-down depth)
  (let ((root (make-leaf)))
    (populate! root depth)
    root))

(define (count-nodes tree)
  (if tree
      (+ 1
         (count-nodes (node-left tree))
         (count-nodes (node-right tree)))
      0))

(define (number-nodes! tree n)
  (when tree
    (set-node-i! tree n)
    (number-nodes! (node-left tree) (* 2 n))
    (number-nodes! (node-right tree) (+ (* 2 n) 1))))

(define (numbered? tree n)
  (or (not tree)
      (and (= (node-i tree) n)
           (numbered? (node-left tree) (* 2 n))
           (numbered? (node-right tree) (+ (* 2 n) 1)))))

;; A vector whose first half holds 1, 1/2, 1/3, ... as flonums, each an object of its own.
(define (make-harmonics size)
  (let ((harmonics (make-vector size 0.0)))
    (do ((i 0 (+ i 1)))
        ((= i (quotient size 2)) harmonics)
      (vector-set! harmonics i (/ 1.0 (+ i 1))))))

(define (harmonics? harmonics)
  (let ((half (quotient (vector-length harmonics) 2)))
    (let loop ((i 0))
      (or (= i half)
          (and (= (vector-ref harmonics i) (/ 1.0 (+ i 1)))
               (loop (+ i 1)))))))

(define (say . things)
  (for-each display things)
  (newline))

(define (verdict ok?)
  (if ok? "ok" "WRONG"))

;; Builds TREES trees, says how many nodes they had, returns whether that is right.
(define (construct how build trees depth)
  (let ((expected (* trees (tree-size depth))))
    (let loop ((i 0) (nodes 0))
      (if (< i trees)
          (loop (+ i 1) (+ nodes (count-nodes (build depth))))
          (begin
            (say "  " how ": " nodes " nodes " (verdict (= nodes expected)))
            (= nodes expected))))))

(define (gcbench stretch-depth min-depth)
  (let ((max-depth (- stretch-depth 2))
        (all-ok? #t))
    (define (check! ok?)
      (unless ok? (set! all-ok? #f)))

    (say "stretch tree of depth " stretch-depth)
    (check! (construct "bottom up" bottom-up 1 stretch-depth))

    (say "long-lived tree of depth " max-depth
         " and " (* 4 (tree-size max-depth)) " flonums")
    (let ((ballast (top-down max-depth))
          (harmonics (make-harmonics (* 4 (tree-size max-depth)))))
      (number-nodes! ballast 1)

      (do ((depth min-depth (+ depth 2)))
          ((> depth max-depth))
        (let ((trees (quotient (* 2 (tree-size stretch-depth))
                               (tree-size depth))))
          (say trees " trees of depth " depth)
          (check! (construct "top down " top-down trees depth))
          (check! (construct "bottom up" bottom-up trees depth))))

      (let ((nodes (count-nodes ballast))
            (in-order? (numbered? ballast 1))
            (flonums-ok? (harmonics? harmonics)))
        (check! (= nodes (tree-size max-depth)))
        (check! in-order?)
        (check! flonums-ok?)
        (say "long-lived tree: " nodes " nodes " (verdict in-order?))
        (say "long-lived flonums: " (verdict flonums-ok?))))
    all-ok?))

(define (argument n default)
  (let ((arguments (cdr (command-line))))
    (if (< n (length arguments))
        (string->number (list-ref arguments n))
        default)))

(let ((ok? (gcbench (argument 0 16) (argument 1 4))))
  (say "gcbench: " (verdict ok?))
  (exit ok?))
