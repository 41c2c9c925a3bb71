;;; Binding forms, syntax-rules, control forms and libraries: what programs of others rely on.

(import (scheme base) (scheme case-lambda) (scheme cxr) (scheme eval) (scheme lazy) (scheme repl) (scheme write))
(include "support/check.scm")

;;; syntax-rules

(define-syntax my-let*
  (syntax-rules ()
    ((_ () body ...) (let () body ...))
    ((_ ((x e) rest ...) body ...) (let ((x e)) (my-let* (rest ...) body ...)))))
(check (my-let* ((a 1) (b (+ a 1)) (c (* b 10))) (list a b c)) => '(1 2 20))

(define-syntax nested
  (syntax-rules () ((_ (a b ...) ...) '((b ... a) ...))))
(check (nested (1 2 3) (4) (5 6)) => '((2 3 1) (4) (6 5)))
(define-syntax flat
  (syntax-rules () ((_ (a ...) ...) '(a ... ...))))
(check (flat (1 2) () (3)) => '(1 2 3))
(define-syntax outer-and-inner
  (syntax-rules () ((_ x (a b ...) ...) '((x a (x b) ...) ...))))
(check (outer-and-inner q (1 2 3) (4)) => '((q 1 (q 2) (q 3)) (q 4)))
(define-syntax ends
  (syntax-rules () ((_ a ... y z) '((a ...) y z))))
(check (ends 1 2 3 4) => '((1 2) 3 4))
(check (ends 3 4) => '(() 3 4))
(define-syntax dotted
  (syntax-rules () ((_ a . b) '(a b))))
(check (dotted 1 2 3) => '(1 (2 3)))
(define-syntax ends-dotted
  (syntax-rules () ((_ a ... z . r) '((a ...) z r))))
(check (ends-dotted 1 2 3 . 4) => '((1 2) 3 4))
(define-syntax in-vector
  (syntax-rules () ((_ #(a b ...)) '(a #(b ... a)))))
(check (in-vector #(1 2 3)) => '(1 #(2 3 1)))
(define-syntax escaped
  (syntax-rules () ((_ a) '(a (... ...)))))
(check (escaped 1) => '(1 ...))
(define-syntax be-like-begin
  (syntax-rules ()
    ((_ name) (define-syntax name (syntax-rules () ((_ expr (... ...)) (begin expr (... ...))))))))
(be-like-begin sequence)
(check (sequence 1 2 3 4) => 4)
(define-syntax own-ellipsis
  (syntax-rules ::: () ((_ a :::) '(a ::: ...))))
(check (own-ellipsis 1 2) => '(1 2 ...))
(define-syntax with-literal
  (syntax-rules (in) ((_ x in l) '(x . l)) ((_ x y z) 'no)))
(check (with-literal 1 in 2) => '(1 . 2))
(check (let ((in 1)) (with-literal 1 in 2)) => 'no)
(define-syntax ignores (syntax-rules () ((_ _ x _) 'x)))
(check (ignores 1 2 3) => 2)

(define-syntax swap!
  (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
(check (let ((tmp 1) (other 2)) (swap! tmp other) (list tmp other)) => '(2 1))
(define-syntax my-or
  (syntax-rules () ((_) #f) ((_ e) e) ((_ e r ...) (let ((t e)) (if t t (my-or r ...))))))
(check (let ((t 5)) (my-or #f t)) => 5)
(define-syntax my-if
  (syntax-rules () ((_ c a b) (cond (c a) (else b)))))
(check (let ((else #f)) (my-if #f 1 2)) => 2)
(check (let ((if list)) (my-if #t 1 2)) => 1)
(check (let ((=> #f)) (cond (#t => 'ok))) => 'ok)
(define-syntax while
  (syntax-rules () ((_ c body ...) (let lp () (when c body ... (lp))))))
(check (let ((i 0) (lp 'mine)) (while (< i 3) (set! i (+ i 1))) (list i lp)) => '(3 mine))
(check (let-syntax ((foo (syntax-rules () ((_ x) (* x 2))))) (foo 4)) => 8)
(check (letrec-syntax ((ev? (syntax-rules () ((_) #t) ((_ x . r) (od? . r))))
                       (od? (syntax-rules () ((_) #f) ((_ x . r) (ev? . r)))))
         (list (ev? 1 2) (ev? 1 2 3)))
       => '(#t #f))
(check (let ((x 'outer))
         (let-syntax ((m (syntax-rules () ((m) x))))
           (let ((x 'inner)) (m))))
       => 'outer)
(define-syntax define-two
  (syntax-rules () ((_ a b v) (begin (define a v) (define b (+ a 1))))))
(define-two one two 1)
(check (list one two) => '(1 2))
(check (let () (define-two x y 10) (list x y)) => '(10 11))

;;; Binding forms

(check (let-values (((a b) (values 1 2)) ((c . d) (values 3 4 5)) (e (values 6 7))) (list a b c d e))
       => '(1 2 3 (4 5) (6 7)))
(check (let ((a 'a) (b 'b) (x 'x) (y 'y)) (let-values (((a b) (values x y)) ((x y) (values a b))) (list a b x y)))
       => '(x y a b))
(check (let*-values (((a b) (values 1 2)) ((c) (values (+ a b)))) (list a b c)) => '(1 2 3))
(define-values (p q . r) (values 1 2 3 4))
(check (list p q r) => '(1 2 (3 4)))
(define-values all (values 1 2))
(check all => '(1 2))
(check (let () (define-values (x y) (values 1 2)) (define z 3) (list x y z)) => '(1 2 3))
(check (receive (a . l) (values 1 2 3) (list a l)) => '(1 (2 3)))
(check (letrec ((even? (lambda (n) (if (= n 0) #t (odd? (- n 1))))) (odd? (lambda (n) (if (= n 0) #f (even? (- n 1))))))
         (even? 1001))
       => #f)
(check (letrec* ((a 1) (b (+ a 1))) (list a b)) => '(1 2))
(check (let () (define (f) (g)) (define (g) 'late) (f)) => 'late)
(check (do ((v (make-vector 5)) (i 0 (+ i 1))) ((= i 5) v) (vector-set! v i i)) => #(0 1 2 3 4))
(check (do ((l '(1 2 3) (cdr l)) (s 0 (+ s (car l)))) ((null? l) s)) => 6)
(check (case 3 ((1 2) 'low) ((3 4) => (lambda (n) (* n 10))) (else 'high)) => 30)
(check (case 'x ((a) 1) (else => (lambda (s) s))) => 'x)
(check (case (* 2 3) ((2 3 5 7) 'prime) ((1 4 6 8 9) 'composite)) => 'composite)
(check (case "a" (("a") 'same) (else 'other)) => 'other)
(check (cond ((assv 'b '((a 1) (b 2))) => cadr) (else 0)) => 2)
(check (cond (#f 1) (3)) => 3)
(check (when #t 1 2) => 2)
(check (unless #f 1 2) => 2)
(define area (case-lambda ((r) (list 'circle r)) ((a b) (list 'box a b)) ((a b . more) (list 'more a b more))))
(check (list (area 1) (area 1 2) (area 1 2 3 4)) => '((circle 1) (box 1 2) (more 1 2 (3 4))))
(check (let ((f (case-lambda ((a) a)))) (f 1 2)) => '(raised "case-lambda: wrong number of arguments: 2"))

;;; Parameters

(define radix (make-parameter 10 (lambda (x) (if (and (exact-integer? x) (<= 2 x 16)) x (error "invalid radix")))))
(check (list (radix) (parameterize ((radix 2)) (radix)) (radix)) => '(10 2 10))
(check (parameterize ((radix 0)) (radix)) => '(raised "invalid radix"))
(check (let ((p (make-parameter 1)) (k #f) (seen '()))
         (parameterize ((p 2)) (call/cc (lambda (c) (set! k c))) (set! seen (cons (p) seen)))
         (if (< (length seen) 3) (k #f))
         (cons (p) seen))
       => '(1 2 2 2))

;;; Promises

(define (ints n) (delay-force (delay (cons n (ints (+ n 1))))))
(define (nth s n) (if (= n 0) (car (force s)) (nth (cdr (force s)) (- n 1))))
(check (nth (ints 0) 1000) => 1000)
(define (loop n) (if (= n 0) (delay 'done) (delay-force (loop (- n 1)))))
(check (force (loop 300000)) => 'done)
(check (let* ((count 0) (p (delay (begin (set! count (+ count 1)) count)))) (list (force p) (force p))) => '(1 1))
(define reentrant (let ((x 5)) (define p (delay (begin (set! x (- x 1)) (if (> x 0) (force p) x)))) p))
(check (force reentrant) => 0)
(check (list (force 5) (force (make-promise 6)) (promise? (delay 1))) => '(5 6 #t))

;;; Quasiquotation

(check `(1 ,(+ 1 1) ,@(list 3 4)) => '(1 2 3 4))
(check `(1 `(2 ,(3 ,(+ 1 3)))) => '(1 (quasiquote (2 (unquote (3 4))))))
(check `#(1 ,@(list 2 3) ,(* 2 2)) => #(1 2 3 4))
(check `(1 . ,(+ 1 1)) => '(1 . 2))
(check `(a `(b ,(c ,@(list 1 2)))) => '(a (quasiquote (b (unquote (c 1 2))))))
(check `(a `(b ,',(+ 1 2))) => '(a (quasiquote (b (unquote (quote 3))))))
(check (let ((name 'a)) `(list ,name ',name)) => '(list a (quote a)))

;;; Libraries

(define-library (stack)
  (export make-stack push! pop! (rename stack-empty? empty?) with-stack)
  (import (scheme base))
  (begin
    (define-record-type <stack> (wrap items) stack? (items items set-items!))
    (define (make-stack) (wrap '()))
    (define (stack-empty? s) (null? (items s)))
    (define (push! s x) (set-items! s (cons x (items s))))
    (define (pop! s) (let ((x (car (items s)))) (set-items! s (cdr (items s))) x))
    (define-syntax with-stack
      (syntax-rules () ((_ s body ...) (let ((s (wrap '()))) body ... (items s)))))))
(import (prefix (only (stack) make-stack push! pop!) stack:))
(define s (stack:make-stack))
(stack:push! s 1)
(stack:push! s 2)
(check (let* ((a (stack:pop! s)) (b (stack:pop! s))) (list a b)) => '(2 1))
(import (rename (except (stack) make-stack pop!) (empty? hollow?)))
(check (hollow? s) => #t)
(check (with-stack x (push! x 1) (push! x 2)) => '(2 1))
(define-library (counter a)
  (export next!)
  (import (scheme base))
  (begin (define n 0) (define (next!) (set! n (+ n 1)) n)))
(import (counter a))
(define n 'mine)
(next!)
(check (list (next!) n) => '(2 mine))
(check (guard (e (#t (condition/report-string e))) (eval '(import (no such library)) (interaction-environment)))
       => "eval:1:1: unknown library (no such library)")
(check (guard (e (#t (condition/report-string e))) (eval '(import (scheme nonsense)) (interaction-environment)))
       => "eval:1:1: unknown library (scheme nonsense)")
(check (cond-expand ((and r7rs (library (scheme base)) (not no-such-feature)) 'yes) (else 'no)) => 'yes)
(check (cond-expand ((library (scheme nonsense)) 'yes) (else 'no)) => 'no)
(check (cond-expand (no-such-feature 'yes) (else 'no)) => 'no)
(check (and (memq 'r7rs (features)) (memq 'full-unicode (features)) #t) => #t)

;;; Procedures over several lists

(check (map + '(1 2 3) '(10 20 30 40) '(100 200 300)) => '(111 222 333))
(check (let ((l '())) (for-each (lambda (a b c) (set! l (cons (list a b c) l))) '(1 2) '(3 4) '(5 6)) l)
       => '((2 4 6) (1 3 5)))
(check (vector-map + #(1 2 3) #(10 20)) => #(11 22))
(check (let ((l '())) (vector-for-each (lambda (a b) (set! l (cons (+ a b) l))) #(1 2) #(10 20 30)) l) => '(22 11))
(check (string-map (lambda (a b) (if (char<? a b) a b)) "adc" "bbbz") => "abb")
(check (let ((l '())) (string-for-each (lambda (a b) (set! l (cons (list a b) l))) "ab" "xyz") l)
       => '((#\b #\y) (#\a #\x)))
(check (apply + 1 2 '(3 4)) => 10)
(check (let ((k #f) (n 0))
         (let ((l (map (lambda (x) (call/cc (lambda (c) (if (= x 2) (set! k c)) x))) '(1 2 3))))
           (set! n (+ n 1))
           (if (< n 3) (k (* n 10)) (list n l))))
       => '(3 (1 20 3)))

;;; A variable below more ellipses than in its pattern is the same in each copy

(define-syntax with-all (syntax-rules () ((_ (x ...) (y ...)) '((x y ...) ...))))
(check (with-all (1 2) (a b c)) => '((1 a b c) (2 a b c)))
(check (with-all (1 2) ()) => '((1) (2)))
(check (with-all () (a)) => '())
(define-syntax with-one (syntax-rules () ((_ k (x ...) ...) '((k (x k) ...) ...))))
(check (with-one 0 (1 2) () (3)) => '((0 (1 0) (2 0)) (0) (0 (3 0))))
(define-syntax flat (syntax-rules () ((_ ((x ...) ...) ...) '(x ... ... ...))))
(check (flat ((1 2) (3)) () ((4))) => '(1 2 3 4))
(define-syntax by-vector (syntax-rules () ((_ (x y ...) ...) '#((x ...) #(y ... x) ...))))
(check (by-vector (1 2 3) (4)) => '#((1 4) #(2 3 1) #(4)))
(define-syntax dots (syntax-rules () ((_ x ...) '((x (... ...)) ...))))
(check (dots 1 2) => '((1 ...) (2 ...)))

;;; Malformed syntax is refused

(define (refused form)
  (guard (e ((error-object? e) 'refused))
    (eval form (interaction-environment))))
(check (refused '(define-syntax m (syntax-rules () ((_ a ... b ...) 1)))) => 'refused)
(check (refused '(define-syntax m (syntax-rules () ((_ ... a) 1)))) => 'refused)
(check (refused '(define-syntax m (syntax-rules () ((_ a (b . a)) 1)))) => 'refused)
(check (refused '(let () (define-syntax m (syntax-rules () ((_ (a ...) (b ...)) '((a b) ...)))) (m (1 2) (3)))) => 'refused)
(check (refused '(let () (define-syntax m (syntax-rules () ((_ a ...) '(a)))) (m 1))) => 'refused)
(check (refused '(let () (define-syntax m (syntax-rules () ((_ a ...) '(a ... ...)))) (m 1))) => 'refused)
(check (refused '(let ((x 1) (x 2)) x)) => 'refused)
(check (refused '(letrec ((x 1) (x 2)) x)) => 'refused)
(check (refused '(lambda (x . x) x)) => 'refused)
(check (let* ((x 1) (x (+ x 1))) x) => 2)

(report)
