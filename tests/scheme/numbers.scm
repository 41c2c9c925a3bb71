;;; Numbers: integers of any size, rationals, flonums, complex numbers, and their texts.

(import (scheme base) (scheme complex) (scheme inexact) (scheme write))
(include "support/check.scm")

(define (text x) (number->string x))

;;; Exact integers

(define big (expt 2 100))
(check big => 1267650600228229401496703205376)
(check (- (expt 2 62)) => -4611686018427387904)
(check (+ 4611686018427387903 1) => 4611686018427387904)
(check (- -4611686018427387904 1) => -4611686018427387905)
(check (* 4611686018427387904 4611686018427387904) => (expt 2 124))
(check (- (+ big 1) big) => 1)
(check (quotient big 7) => 181092942889747057356671886482)
(check (list (quotient -7 2) (remainder -7 2) (modulo -7 2) (modulo 7 -2)) => '(-3 -1 1 -1))
(check (list (floor-quotient -7 2) (floor-remainder -7 2) (truncate-quotient -7 2) (truncate-remainder -7 2))
       => '(-4 1 -3 -1))
(check (call-with-values (lambda () (floor/ -5 2)) list) => '(-3 1))
(check (call-with-values (lambda () (truncate/ -5 2)) list) => '(-2 -1))
(check (call-with-values (lambda () (exact-integer-sqrt 17)) list) => '(4 1))
(check (call-with-values (lambda () (exact-integer-sqrt (+ (* big big) 5))) list) => (list big 5))
(check (list (gcd 12 18) (gcd) (lcm 4 6) (gcd -4 0) (gcd big (* 3 big))) => (list 6 0 12 4 big))
(check (list (even? big) (odd? (+ big 1)) (exact-integer? big) (exact-integer? 5.0)) => '(#t #t #t #f))
(check (list (max 1 2 3) (min 1 2 3) (max 1 2.0) (min 1 2.0)) => '(3 1 2.0 1.0))
(check (list (abs -5) (abs (- big)) (square 12)) => (list 5 big 144))
(check (quotient 1 0) => '(raised "quotient: division by zero: 1 0"))

;;; Rationals

(check (list (/ 1 3) (/ 6 4) (/ -6 3) (+ 1/2 1/3) (* 2/3 3/2) (- 1/2 1/2)) => '(1/3 3/2 -2 5/6 1 0))
(check (list (numerator 6/4) (denominator 6/4) (numerator -5) (denominator 5)) => '(3 2 -5 1))
(check (list (floor 7/2) (ceiling 7/2) (round 7/2) (round 5/2) (truncate -7/2)) => '(3 4 4 2 -3))
(check (list (exact 0.5) (inexact 1/4) (exact 1e18) (exact 2.5)) => '(1/2 0.25 1000000000000000000 5/2))
(check (list (rationalize 3/10 1/10) (rationalize .3 1/10)) => '(1/3 0.3333333333333333))
(check (list (expt 2/3 3) (expt 2 -2) (expt 0 0) (expt 2.0 3) (expt 4 1/2)) => '(8/27 1/4 1 8.0 2))
(check (list (< 1/3 1/2 2/3) (= 1/2 0.5) (< 1 2 2) (<= 1 2 2) (> 3 2 1) (= 1 1.0 1)) => '(#t #t #f #t #t #t))
(check (/ 1 0) => '(raised "/: division by zero: 1 0"))

;;; Flonums

(check (map text '(1.0 -0.0 .5 100.0 1e21 1e22 1e100 1.5e-30 123456789.123 3.14159))
       => '("1.0" "-0.0" "0.5" "100.0" "1e21" "1e22" "1e100" "1.5e-30" "123456789.123" "3.14159"))
(check (list (text (/ 1. 0.)) (text (/ -1. 0.)) (text (/ 0. 0.))) => '("+inf.0" "-inf.0" "+nan.0"))
(check (list (floor 2.5) (ceiling 2.5) (round 2.5) (round 3.5) (round -2.5) (truncate -2.5)) => '(2.0 3.0 2.0 4.0 -2.0 -2.0))
(check (list (integer? 2.0) (integer? 2.5) (rational? 1.5) (rational? +inf.0) (real? 1.5) (exact? 1/2) (inexact? 1.))
       => '(#t #f #t #f #t #t #t))
(check (list (nan? +nan.0) (infinite? -inf.0) (finite? 1.0) (finite? +inf.0)) => '(#t #t #t #f))
(check (list (exp 0) (sin 0) (atan 1 1) (log 1) (sqrt 16) (sqrt 2) (sqrt 1/4))
       => (list 1 0 0.7853981633974483 0 4 1.4142135623730951 1/2))
(check (list (log 8 2) (exact (floor 2.7)) (exact-integer? (exact 3.0))) => '(3.0 2 #t))
(check (+ 0.1 0.2) => 0.30000000000000004)
(check (list (eqv? 1 1.0) (= 1 1.0) (eqv? 1.5 1.5) (equal? 1/2 1/2)) => '(#f #t #t #t))
(check (exact +inf.0) => '(raised "exact: number out of range: +inf.0"))

;;; Complex numbers

(check (list (* +i +i) (+ 1+2i 3-2i) (magnitude 3+4i) (real-part 1+2i) (imag-part 1+2i)) => '(-1 4 5 1 2))
(check (list (make-rectangular 1 2) (make-polar 2 0) (sqrt -1) (exp +i))
       => (list 1+2i 2 +i 0.5403023058681398+0.8414709848078965i))

;;; Texts

(check (list (number->string 255 16) (number->string -255 2) (number->string big 36) (number->string 1/3 3))
       => '("ff" "-11111111" "3ewfdnca0n6ld1ggvfgg" "1/10"))
(check (list (string->number "ff" 16) (string->number "#xff") (string->number "1e3") (string->number "1/2") (string->number "abc")
             (string->number "#e1.5") (string->number "#i3/4") (string->number "-") (string->number "1+2i") (string->number "+inf.0"))
       => '(255 255 1000.0 1/2 #f 3/2 0.75 #f 1+2i +inf.0))
(check (list (string->number ".5") (string->number "5.") (string->number "1.5e2") (string->number "+5") (string->number "1/0") (string->number ""))
       => '(0.5 5.0 150.0 5 #f #f))
(check (list #b101 #o17 #xFF #d10 #e1.2 #x-a/b) => '(5 15 255 10 6/5 -10/11))
(check (let loop ((i 0) (x 1.1) (ok #t)) (if (= i 200) ok (loop (+ i 1) (* x 1.7) (and ok (= x (string->number (text x))))))) => #t)
(check (let loop ((i 0) (x 12345) (ok #t))
         (if (= i 8) ok (loop (+ i 1) (+ (* x x 3/7) i) (and ok (= x (string->number (text x)))))))
       => #t)
(check (string-length (text (expt 7 1000))) => 846)
(check (let loop ((n 1) (i 200)) (if (= i 0) (remainder n 1000007) (loop (* n i) (- i 1)))) => 152656)
(check (exact->inexact 12345678901234567890123) => 1.2345678901234568e22)
(check (list (boolean=? #t #t) (exact (truncate 1e20))) => '(#t 100000000000000000000))
(check (list (- 5) (- 0.0)) => '(-5 -0.0))
(report)
