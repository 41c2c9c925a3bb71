;;; The core language: tail calls, binding forms, macros, quasiquotation, records, parameters, values, libraries.

(import (scheme base) (scheme case-lambda) (scheme eval) (scheme lazy) (scheme read) (scheme write))
(include "support/check.scm")

;;; Loops and calls

(define (loop n) (if (= n 0) 'ok (loop (- n 1))))
(check (loop 1000000) => 'ok)
(define (deep n) (if (= n 0) 0 (+ 1 (deep (- n 1)))))
(check (deep 100000) => 100000)
(check (let lp ((i 0) (acc '())) (if (< i 5) (lp (+ i 1) (cons i acc)) acc)) => '(4 3 2 1 0))
(check (do ((i 0 (+ i 1)) (s 0 (+ s i))) ((= i 5) s)) => 10)
(check (map (lambda (f) (f)) (let lp ((i 0) (acc '())) (if (< i 3) (lp (+ i 1) (cons (lambda () i) acc)) acc)))
       => '(2 1 0))
(check (let outer ((i 0)) (if (< i 3) (begin (let inner ((j 0)) (if (< j 3) (inner (+ j 1)))) (outer (+ i 1))) i))
       => 3)
(check (let ()
         (define (even n) (if (= n 0) #t (odd (- n 1))))
         (define (odd n) (if (= n 0) #f (even (- n 1))))
         (even 1001))
       => #f)
(check (let () (define (f) x) (define x 10) (define (g) (+ (f) 1)) (g)) => 11)
(check (let ((x #f)) (or x (let ((y 2)) (or #f y)))) => 2)
(check (apply + 1 2 '(3 4)) => 10)
(check (apply + (iota 1000)) => 499500)
(check (apply max (iota 30000)) => 29999)
(check (let ((l (list 1 2))) (set-cdr! (cdr l) l) (guard (e (#t 'refused)) (apply + l))) => 'refused)

;;; Macros

(define-syntax swap!
  (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
(check (let ((tmp 1) (y 2)) (swap! tmp y) (list tmp y)) => '(2 1))
(define-syntax my-or
  (syntax-rules () ((_) #f) ((_ e) e) ((_ e r ...) (let ((t e)) (if t t (my-or r ...))))))
(check (let ((t 5)) (my-or #f t)) => 5)
(define-syntax my-let*
  (syntax-rules ()
    ((_ () b ...) (let () b ...))
    ((_ ((x e) r ...) b ...) (let ((x e)) (my-let* (r ...) b ...)))))
(check (my-let* ((a 1) (b (+ a 1))) (* a b)) => 2)
(define-syntax be-like-begin
  (syntax-rules ()
    ((_ name) (define-syntax name (syntax-rules () ((_ expr (... ...)) (begin expr (... ...))))))))
(be-like-begin seq)
(check (seq 1 2 3) => 3)
(define-syntax nest (syntax-rules () ((_ (a b ...) ...) '((b ... a) ...))))
(check (nest (1 2 3) (4 5)) => '((2 3 1) (5 4)))
(define-syntax rotated (syntax-rules () ((_ a ... z) '(z a ...))))
(check (rotated 1 2 3) => '(3 1 2))
(define-syntax vector-pattern (syntax-rules () ((_ #(a ...)) '(a ...))))
(check (vector-pattern #(1 2)) => '(1 2))
(check (let-syntax ((twice (syntax-rules () ((_ x) (* x 2))))) (twice 4)) => 8)

;;; Data and binding forms

(define-record-type point (make-point x y) point? (x px set-px!) (y py))
(define p (make-point 1 2))
(set-px! p 10)
(check (list (px p) (py p) (point? p) (point? 5)) => '(10 2 #t #f))
(define prm (make-parameter 10 (lambda (x) (* x 2))))
(check (list (prm) (parameterize ((prm 5)) (prm)) (prm)) => '(20 10 20))
(check (call-with-values (lambda () (values 1 2)) cons) => '(1 . 2))
(check (let-values (((a b) (values 1 2)) ((c . d) (values 3 4 5))) (list a b c d)) => '(1 2 3 (4 5)))
(check (let*-values (((a b) (values 1 2)) ((c) (values (+ a b)))) c) => 3)
(define-values (x y . z) (values 1 2 3 4))
(check (list x y z) => '(1 2 (3 4)))
(check (let () (define-values (a b) (values 1 2)) (define c 3) (list a b c)) => '(1 2 3))
(check `(1 ,(+ 1 1) ,@(list 3 4) . 5) => '(1 2 3 4 . 5))
(check `#(1 ,(+ 1 1) ,@(list 3)) => #(1 2 3))
(check `(a `(b ,(c ,(+ 1 2)))) => '(a `(b ,(c 3))))
(define cl (case-lambda ((a) (list 1 a)) ((a b) (list 2 a b)) ((a . r) (list 'n a r))))
(check (list (cl 1) (cl 1 2) (cl 1 2 3)) => '((1 1) (2 1 2) (n 1 (2 3))))
(check (case 3 ((1 2) 'a) ((3) 'b) (else 'c)) => 'b)
(check (case 'x ((x) => (lambda (v) v)) (else 1)) => 'x)
(check (case 9 ((1) 1) (else => (lambda (v) v))) => 9)
(check (let ((x 1)) (define (get) x) (list (fluid-let ((x 2)) (get)) (get))) => '(2 1))
(check (cond-expand (foo 1) ((and r7rs (library (scheme base))) 2) (else 3)) => 2)

;;; Promises

(check (let ((n 0)) (define p (delay (begin (set! n (+ n 1)) n))) (force p) (force p)) => 1)
(define (stream-loop n) (delay-force (if (= n 0) (delay 'done) (stream-loop (- n 1)))))
(check (force (stream-loop 100000)) => 'done)

;;; Lists, vectors, strings

(check (map + '(1 2 3) '(10 20 30)) => '(11 22 33))
(check (vector-map (lambda (x) (* x x)) #(1 2 3)) => #(1 4 9))
(check (let ((l '())) (string-for-each (lambda (a b) (set! l (cons (list a b) l))) "ab" "cd") l)
       => '((#\b #\d) (#\a #\c)))
(check (sort '(3 1 2) <) => '(1 2 3))
(check (assoc 2.0 '((1 one) (2 two)) =) => '(2 two))
(check (iota 5 1/2 1/2) => '(1/2 1 3/2 2 5/2))
(check (let ((s (make-string 3 #\a))) (string-set! s 1 #\λ) s) => "aλa")
(check (read (open-input-string "(a #(1 2) \"s\" . b)")) => '(a #(1 2) "s" . b))

;;; Numbers

(check (+ 1.5 2) => 3.5)
(check (+ 1.5 1/2 3 (expt 10 20)) => 1e20)
(check (* 99999999999 99999999999) => 9999999999800000000001)
(check (- (* 4611686018427387904 1) 1) => 4611686018427387903)
(check (/ 1 3) => (/ 2 6))

;;; Environments and libraries

(check (eval '(let ((x 1)) (+ x 1)) (interaction-environment)) => 2)
(define-library (my lib)
  (export f (rename g gg))
  (import (scheme base))
  (begin (define (f) 'f) (define (g) (list (f) 'g))))
(import (prefix (my lib) m:))
(check (list (m:f) (m:gg)) => '(f (f g)))

(report)
