;;; Characters, strings, bytevectors, the reader and textual ports.

(import (scheme base) (scheme char) (scheme read) (scheme write))
(include "support/check.scm")

(define (read-from text) (read (open-input-string text)))
(define (written x) (let ((p (open-output-string))) (write x p) (get-output-string p)))
(define (shared x) (let ((p (open-output-string))) (write-shared x p) (get-output-string p)))
(define (shown x) (let ((p (open-output-string))) (display x p) (get-output-string p)))

;;; Characters

(check (map char->integer '(#\a #\λ #\x1F600 #\newline #\space #\null #\delete #\escape #\tab #\alarm #\backspace #\return))
       => '(97 955 128512 10 32 0 127 27 9 7 8 13))
(check (list (char-upcase #\λ) (char-downcase #\Σ) (char-foldcase #\Σ) (char-upcase #\ß)) => '(#\Λ #\σ #\σ #\ß))
(check (list (char-alphabetic? #\λ) (char-numeric? #\٣) (digit-value #\٣) (digit-value #\x) (char-whitespace? #\x00A0))
       => '(#t #t 3 #f #t))
(check (list (char<? #\a #\b #\c) (char-ci=? #\a #\A) (char>? #\a #\b)) => '(#t #t #f))
(check (map written '(#\a #\space #\newline #\x0 #\λ #\x7f)) => '("#\\a" "#\\space" "#\\newline" "#\\null" "#\\λ" "#\\delete"))

;;; Strings

(check (list (string-upcase "straße") (string-downcase "ΧΑΟΣ") (string-foldcase "ΧΑΟΣ")) => '("STRASSE" "χαος" "χαοσ"))
(check (list (string-ci=? "Straße" "STRASSE") (string<? "abc" "abd" "b") (string=? "a" "a" "b")) => '(#t #t #f))
(check (let ((s (make-string 2 #\-))) (string-set! s 1 #\x1F600) (list (string-length s) (string-ref s 1) (string->utf8 s)))
       => (list 2 #\x1F600 #u8(45 240 159 152 128)))
(check (let* ((s (string #\a #\λ #\b)) (t (substring s 0 1))) (string-append t (string-copy s 1) t "" s)) => "aλbaaλb")
(check (list (string-copy "hello" 1 3) (string->list "abc" 1) (string->vector "abc") (vector->string #(#\x #\y))) 
       => '("el" (#\b #\c) #(#\a #\b #\c) "xy"))
(check (let ((s (string-copy "12345"))) (string-copy! s 1 "ab" 0 2) s) => "1ab45")
(check (let ((s (string-copy "12345"))) (string-fill! s #\z 1 3) s) => "1zz45")
(check (string-append) => "")
(check (substring "abc" 2 5) => '(raised "string-copy: argument 3 is out of range: 5"))
(check (written "a\"b\\c\nd\te\x7;λ") => "\"a\\\"b\\\\c\\nd\\te\\aλ\"")
(check "line one \
        joined" => "line one joined")
(check (list (string->symbol "Hello World") '|a\x3bb;b| 'FooBar) => (list (string->symbol "Hello World") (string->symbol "aλb") (string->symbol "FooBar")))
(check (map written '(|hello world| FooBar |a\|b| ||)) => '("|hello world|" "FooBar" "|a\\|b|" "||"))

;;; Bytevectors

(check (list (utf8->string #u8(206 187 97)) (utf8->string #u8(65 66 67 68) 1 3) (string->utf8 "λa" 1)) => '("λa" "BC" #u8(97)))
(check (let ((b (make-bytevector 4 7))) (bytevector-u8-set! b 2 255) (bytevector-copy! b 0 #u8(1 2 3) 1 3) b) => #u8(2 3 255 7))
(check (list (bytevector-append #u8(1) #u8() #u8(2 3)) (bytevector-copy #u8(1 2 3 4) 1 3) (bytevector-length #u8(1 2))) 
       => '(#u8(1 2 3) #u8(2 3) 2))
(check (guard (e (#t 'error)) (bytevector-u8-set! (make-bytevector 1) 0 256)) => 'error)

;;; Reading

(check (read-from "(1 . (2 3 . 4))") => '(1 2 3 . 4))
(check (read-from "#(1 #(2) \"x\" #\\x)") => #(1 #(2) "x" #\x))
(check (read-from "#| block #| nested |# |# x ; comment") => 'x)
(check (read-from "(a #;(hidden (deep)) b #; c)") => '(a b))
(check (list (read-from "'a") (read-from "`(a ,b ,@c)")) => '('a `(a ,b ,@c)))
(check (list (read-from "#true") (read-from "#f") (read-from "#u8(1 255)") (read-from "#\\x41") (read-from "|a b|")) 
       => (list #t #f #u8(1 255) #\A (string->symbol "a b")))
(check (let ((x (read-from "#0=(a b . #0#)"))) (list (car x) (eq? x (cddr x)))) => '(a #t))
(check (let ((x (read-from "(#1=(1) #1# #2=\"s\" #2#)"))) (list (eq? (car x) (cadr x)) (eq? (list-ref x 2) (list-ref x 3)))) => '(#t #t))
(check (let ((x '#3=(1 #3#))) (eq? x (cadr x))) => #t)
(check (read-from "#!fold-case ABC") => 'abc)
(check (eof-object? (read-from "   ; nothing")) => #t)
(check (let* ((p (open-input-string "a (b) \"c\" 1.5")) (a (read p)) (b (read p)) (c (read p)) (d (read p)) (e (read p)))
         (list a b c d (eof-object? e)))
       => '(a (b) "c" 1.5 #t))
(check (map (lambda (t) (guard (e ((read-error? e) 'read-error)) (read-from t))) '("(" ")" "\"abc" "#\\nonsense" "#(1 . 2)" "(1 . )" "#<x>"))
       => '(read-error read-error read-error read-error read-error read-error read-error))

;;; Writing

(check (written '(quote x)) => "'x")
(check (written '(1 "two" #\3 four 5.0 #t () #(6) #u8(7))) => "(1 \"two\" #\\3 four 5.0 #t () #(6) #u8(7))")
(check (shown '(1 "two" #\3)) => "(1 two 3)")
(check (let ((x (list 1 2))) (shared (list x x))) => "(#0=(1 2) #0#)")
(check (let ((x (list 1 2))) (written (list x x))) => "((1 2) (1 2))")
(check (let ((x (list 1 2 3))) (set-cdr! (cddr x) x) (written x)) => "#0=(1 2 3 . #0#)")
(check (let ((x (vector 1 2))) (vector-set! x 0 x) (shown x)) => "#0=#(#0# 2)")

;;; Ports

(check (let ((p (open-input-string "one\ntwo\r\nthree"))) (let* ((a (read-line p)) (b (read-char p)) (c (read-line p)) (d (read-line p)) (e (read-line p))) (list a b c d (eof-object? e))))
       => '("one" #\t "wo" "three" #t))
(check (let ((p (open-input-string "λμν"))) (let* ((a (peek-char p)) (b (read-string 2 p)) (c (char-ready? p)) (d (read-string 5 p)) (e (read-string 1 p))) (list a b c d (eof-object? e))))
       => '(#\λ "λμ" #t "ν" #t))
(check (let ((p (open-output-string))) (write-string "abcdef" p 2 4) (write-char #\λ p) (newline p) (get-output-string p)) => "cdλ\n")
(check (let ((p (open-input-bytevector #u8(1 2 3)))) (let* ((a (peek-u8 p)) (b (read-u8 p)) (c (read-bytevector 5 p)) (d (read-u8 p))) (list a b c (eof-object? d) (u8-ready? p))))
       => '(1 1 #u8(2 3) #t #t))
(check (let ((p (open-input-string "x"))) (list (input-port? p) (output-port? p) (textual-port? p) (binary-port? p) (port? p) (input-port-open? p)))
       => '(#t #f #t #f #t #t))
(check (let ((p (open-output-string))) (parameterize ((current-output-port p)) (display "to the port")) (get-output-string p)) => "to the port")
(check (guard (e (#t 'error)) (read-u8 (open-input-string "text"))) => 'error)
(check (let loop ((i 0)) (if (= i 20000) 'done (let ((p (open-output-string))) (write i p) (loop (+ i 1))))) => 'done)

(report)
