// The access token, for as long as the tab is open: never in an address, a cookie or a lasting store.

const KEY = "gdws-token";

export function savedToken() {
  return sessionStorage.getItem(KEY);
}

export function saveToken(token) {
  if (token === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, token);
}
