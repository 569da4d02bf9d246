//! An answer that HTTP/1 has been given whole, and that its socket has not: who waits for the last byte to leave.

use std::cell::RefCell;
use std::rc::Rc;

/// An answer whose end is booked when its last byte has been written.
pub trait AwaitsWrite {
    /// The socket has taken the last byte. Where that never comes it is let go of, and nothing is said.
    fn written(&self);
}

/// The answers of a connection that wait: mostly one, and more where a client sends calls without awaiting answers.
#[derive(Default)]
pub(super) struct Unwritten {
    first: RefCell<Option<Rc<dyn AwaitsWrite>>>,
    others: RefCell<Vec<Rc<dyn AwaitsWrite>>>,
}

impl std::fmt::Debug for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = usize::from(self.first.borrow().is_some());
        f.debug_struct("Unwritten").field("waiting", &(first + self.others.borrow().len())).finish()
    }
}

impl Unwritten {
    /// One more waits.
    pub(super) fn wait(&self, answer: Rc<dyn AwaitsWrite>) {
        let mut first = self.first.borrow_mut();
        if first.is_none() {
            *first = Some(answer);
        } else {
            self.others.borrow_mut().push(answer);
        }
    }

    /// All that waited has been written.
    pub(super) fn written(&self) {
        let Some(first) = self.first.borrow_mut().take() else { return };
        first.written();
        let others = std::mem::take(&mut *self.others.borrow_mut());
        others.iter().for_each(|answer| answer.written());
    }

    /// None of it will be written any more.
    pub(super) fn forget(&self) {
        // Taken out first: what is let go of says so to others.
        let first = self.first.borrow_mut().take();
        let others = std::mem::take(&mut *self.others.borrow_mut());
        drop((first, others));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Answer(Rc<Cell<u32>>);

    impl AwaitsWrite for Answer {
        fn written(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn each_is_told_once_and_none_that_was_forgotten() {
        let (unwritten, count) = (Unwritten::default(), Rc::new(Cell::new(0)));
        let wait = || unwritten.wait(Rc::new(Answer(Rc::clone(&count))));
        unwritten.written();
        (0..3).for_each(|_| wait());
        assert_eq!(count.get(), 0);
        unwritten.written();
        unwritten.written();
        assert_eq!(count.get(), 3);
        (0..2).for_each(|_| wait());
        unwritten.forget();
        unwritten.written();
        assert_eq!((count.get(), Rc::strong_count(&count)), (3, 1));
    }
}
