;;; Deep recursion, and a full heap: errors that can be caught, after which the program goes on.
;;; Run as
;;;   scheme --gc limit=64M full_heap.scm
;;; so that the heap is full soon.

(import (scheme base) (scheme write) (srfi 69))
(include "../support/check.scm")

;;; Deep recursion

(define (count n) (if (= n 0) 0 (+ 1 (count (- n 1)))))
(check (count 1000000) => 1000000)
(define (build n) (if (= n 0) '() (cons n (build (- n 1)))))
(check (length (build 300000)) => 300000)
(define (fails n) (if (= n 0) (car 0) (+ 1 (fails (- n 1)))))
(check (guard (e ((error-object? e) 'caught)) (fails 300000)) => 'caught)
(define (nested n) (let loop ((i 0) (l '())) (if (= i n) l (loop (+ i 1) (list l)))))
(check (equal? (nested 200000) (nested 200000)) => #t)
(check (string-length (let ((p (open-output-string))) (write (nested 200000) p) (get-output-string p))) => 400002)

;;; Out of memory

(define too-many 100000000)
(define (with-full-heap proc) (guard (e ((out-of-memory-error? e) 'full)) (proc too-many) 'not-full))
(define (pairs n) (let loop ((n n) (l '())) (if (> n 0) (loop (- n 1) (cons n l)) l)))
(define (vectors n) (let loop ((n n) (l '())) (if (> n 0) (loop (- n 1) (cons (make-vector 10 l) l)) l)))
(define (strings n) (let loop ((n n) (l '())) (if (> n 0) (loop (- n 1) (cons (make-string 5000 #\a) l)) l)))
(define (table n)
  (let ((t (make-hash-table)))
    (let loop ((n n)) (if (> n 0) (begin (hash-table-set! t n (vector n)) (loop (- n 1)))))))
(define kept '())
(define (keeping n) (if (> n 0) (begin (set! kept (cons (make-vector 100 n) kept)) (keeping (- n 1)))))

(check (with-full-heap pairs) => 'full)
(check (with-full-heap vectors) => 'full)
(check (with-full-heap strings) => 'full)
(check (with-full-heap table) => 'full)
(check (with-full-heap count) => 'full)
(check (with-full-heap keeping) => 'full)
(set! kept '())
(check (length (build 10000)) => 10000)
(check (with-full-heap pairs) => 'full)
(check (let loop ((i 0) (sum 0)) (if (< i 2000) (loop (+ i 1) (+ sum (vector-length (make-vector 1000 i)))) sum)) => 2000000)
(check (guard (e ((out-of-memory-error? e) 'full)) (make-vector 100000000 0)) => 'full)
(check (guard (e ((out-of-memory-error? e) 'full)) (make-string 1000000000 #\a)) => 'full)

(report)
