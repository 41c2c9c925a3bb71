;;; What only the machine refers to stays alive: values on their way into a box, sums in parts, constants of code that is
;;; compiled while the program runs, the data in macros given to eval.

(import (scheme base) (scheme eval) (scheme write))
(include "support/check.scm")

(define here (interaction-environment))
(define (churn n) (let loop ((i 0) (l '())) (if (< i n) (loop (+ i 1) (if (< (length l) 5) (cons (make-vector 20 i) l) '())))))

(define (accumulator n x)
  (let ((v (* x 1.5)))
    (set! v (+ v 1.0))
    (lambda () (set! v (+ v 1.0)) v)))
(check
  (let loop ((n 30000) (kept '()) (wrong 0))
    (if (= n 0)
        wrong
        (let* ((a (+ (* n 1.5) (* n 2.5) (* n 3.5) (* n 1.25))) (f (accumulator n a)))
          (loop (- n 1)
                (if (< (length kept) 50) (cons f kept) '())
                (if (= (f) (+ (* a 1.5) 2.0)) wrong (+ wrong 1))))))
  => 0)

(eval (list 'define-syntax 'with-data
            (list 'syntax-rules '() (list '(_) (list 'list (string-append "a" "b") (list 'quote (vector 1 (list 2.5)))))))
      here)
(churn 20000)
(gc)
(churn 20000)
(check (eval '(with-data) here) => '("ab" #(1 (2.5))))

(define (constant i) (eval (list 'lambda '() (list 'quote (list i (* i 0.5) (number->string i)))) here))
(check
  (let loop ((i 0) (fs '()))
    (if (< i 300)
        (loop (+ i 1) (cons (constant i) fs))
        (begin
          (gc)
          (churn 10000)
          (let all ((fs fs) (i 299))
            (cond ((null? fs) 'same)
                  ((equal? ((car fs)) (list i (* i 0.5) (number->string i))) (all (cdr fs) (- i 1)))
                  (else ((car fs))))))))
  => 'same)

(define (rest-list a . l) (if (= a 0) (length l) (apply rest-list (- a 1) (cons (* a 1.5) l))))
(check (rest-list 300) => 300)
(check (let loop ((i 0) (s "")) (if (= i 300) (string-length s) (loop (+ i 1) (call-with-output-string (lambda (p) (display s p) (write i p))))))
       => 790)
(check (vector-length (apply vector (map (lambda (x) (* x 1.5)) (iota 20000)))) => 20000)

(report)
