//! The size of the screen that standard output is.
#![allow(unsafe_code)]

/// Rows and columns; 0 for what is not known.
pub fn screen_size() -> (usize, usize) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a struct winsize, which `size` is; on an error it stays as it is.
    unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (usize::from(size.ws_row), usize::from(size.ws_col))
}
