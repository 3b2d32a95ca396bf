// Calls of the control API. A refusal becomes an Error whose text says what is wrong and what to do.

export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(`/sim/${path}`, options);
  } catch {
    throw new Error("The simulator does not answer. Is it still running?");
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const hint = data.hint ? ` – ${data.hint}` : "";
    throw new Error(`${data.error || answer.statusText}${hint}`);
  }
  return data;
}

// Puts a file on the phones; its id can be sent.
export async function upload(file) {
  const query = new URLSearchParams({ name: file.name.slice(0, 200) });
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  const answer = await fetch(`/sim/files?${query}`, { method: "POST", headers, body: file });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.error || answer.statusText);
  return data.file;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);
