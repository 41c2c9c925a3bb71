;;; Continuations, dynamic-wind, exceptions.

(import (scheme base) (scheme write))
(include "support/check.scm")

;;; Continuations

(check (+ 1 (call/cc (lambda (k) (+ 10 (k 1))))) => 2)

;; Enters the continuations of a traversal again and again.
(define (tree->generator tree)
  (define caller #f)
  (define (walk t)
    (cond ((null? t) 'skip)
          ((pair? t) (walk (car t)) (walk (cdr t)))
          (else
           (call/cc
             (lambda (rest)
               (set! resume (lambda () (rest 'go)))
               (caller t))))))
  (define resume (lambda () (walk tree) (caller 'done)))
  (lambda () (call/cc (lambda (k) (set! caller k) (resume)))))
(define (same-fringe? a b)
  (let ((ga (tree->generator a)) (gb (tree->generator b)))
    (let loop ()
      (let ((x (ga)) (y (gb)))
        (cond ((not (eqv? x y)) #f) ((eq? x 'done) #t) (else (loop)))))))
(define (balanced n) (if (< n 2) n (cons (balanced (quotient n 2)) (balanced (- n (quotient n 2))))))
(check (same-fringe? (balanced 1000) (make-list 1000 1)) => #t)
(check (same-fringe? (balanced 1000) (make-list 999 1)) => #f)
(check (let ((g (tree->generator '(1 (2) 3)))) (let* ((a (g)) (b (g)) (c (g)) (d (g))) (list a b c d)))
       => '(1 2 3 done))

;; A deep continuation, entered many times after its stack was left.
(define saved #f)
(define winds 0)
(define (rec n) (if (= n 0) (call/cc (lambda (k) (set! saved k) 0)) (+ 1 (rec (- n 1)))))
(check
  (let ((sum 0))
    (let ((v (dynamic-wind
               (lambda () (set! winds (+ winds 1)))
               (lambda () (rec 20000))
               (lambda () (set! winds (+ winds 1))))))
      (set! sum (+ sum v))
      (if (< winds 20) (saved winds) (list winds sum))))
  => '(20 200090))

;; Coroutines that hand over to each other in turn.
(define queue '())
(define (enqueue thunk) (set! queue (append queue (list thunk))))
(define (next) (let ((thunk (car queue))) (set! queue (cdr queue)) (thunk)))
(define (yield) (call/cc (lambda (k) (enqueue (lambda () (k #f))) (next))))
(define total 0)
(check
  (call/cc
    (lambda (done)
      (define (spawn id)
        (enqueue
          (lambda ()
            (do ((i 0 (+ i 1))) ((= i 100))
              (set! total (+ total (* id (vector-length (make-vector 20 i)))))
              (yield))
            (if (null? queue) (done total) (next)))))
      (for-each spawn (iota 10))
      (next)))
  => 90000)

(check (call-with-values (lambda () (apply values (iota 5000))) (lambda l (apply + l))) => 12497500)
(define (many . l) (if (null? l) 0 (+ 1 (apply many (cdr l)))))
(check (apply many (iota 400)) => 400)

;;; dynamic-wind

(define trace '())
(define (note x) (set! trace (cons x trace)))
(define again #f)
(dynamic-wind
  (lambda () (note 'in))
  (lambda () (call/cc (lambda (k) (set! again k))) (note 'body))
  (lambda () (note 'out)))
(if (< (length trace) 6) (again #f))
(check (reverse trace) => '(in body out in body out))
(check (let ((l '()))
         (guard (e (#t (set! l (cons 'handled l))))
           (dynamic-wind
             (lambda () (set! l (cons 'in l)))
             (lambda () (raise 'x))
             (lambda () (set! l (cons 'out l)))))
         l)
       => '(handled out in))

;;; Exceptions

(check (guard (e (#t (list 'caught e))) (raise 'boom)) => '(caught boom))
(check (guard (e ((symbol? e) 'symbol) ((string? e) 'string)) (raise "x")) => 'string)
(check (guard (e ((string? e) 'outer)) (guard (e2 ((number? e2) 'number)) (raise "s"))) => 'outer)
(check (guard (e ((assq 'a e) => cdr) ((assq 'b e))) (raise (list (cons 'a 42)))) => 42)
(check (guard (e ((error-object? e) (list (error-object-message e) (error-object-irritants e)))) (error "bad" 1 2))
       => '("bad" (1 2)))
(check (with-exception-handler (lambda (e) 10) (lambda () (+ 1 (raise-continuable 'c)))) => 11)
(check (guard (e ((error-object? e) 'caught)) (car 5)) => 'caught)
(check (guard (e ((error-object? e) 'caught)) (undefined-variable)) => 'caught)
(check (guard (e ((error-object? e) 'caught)) ((lambda (x) x))) => 'caught)
(check (guard (e (#t (list 'second (error-object? e))))
         (with-exception-handler (lambda (e) 'ignored) (lambda () (raise 'x))))
       => '(second #t))
(check (let loop ((i 0))
         (guard (e ((string? e) 'no))
           (if (= i 200) (raise i) (+ 1 (loop (+ i 1))))))
       => '(raised 200))
(check (guard (e ((file-error? e) 'file)) (open-input-file "/does/not/exist")) => 'file)
(check (guard (e ((read-error? e) 'read)) (read (open-input-string "(1 . "))) => 'read)
(check (guard (e ((out-of-memory-error? e) 'memory)) (make-vector (expt 2 61) 0)) => 'memory)

(report)
