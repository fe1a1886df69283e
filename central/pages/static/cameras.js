// A camera's form: tried and saved by the box itself, so an answer takes some seconds and may be a refusal in words.

export async function ask(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", body, headers: { accept: "application/json", ...headers } });
  } catch {
    throw new Error(document.body.dataset.notSaved);
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.detail || told.title || String(answer.status));
  return told;
}

function fields(form, probe) {
  const data = new URLSearchParams(new FormData(form));
  for (const field of form.querySelectorAll("[data-probe]")) if (!probe || !field.value) data.delete(field.name);
  return data;
}

function lines(list, texts, advice = []) {
  list.replaceChildren(
    ...[...texts, ...advice].map((text, i) => {
      const line = document.createElement("li");
      line.textContent = text;
      line.className = i < texts.length ? "" : "advice";
      return line;
    }),
  );
}

async function busy(button, work) {
  const said = button.textContent;
  button.disabled = true;
  if (button.dataset.saving) button.textContent = button.dataset.saving;
  try {
    await work();
  } finally {
    button.disabled = false;
    button.textContent = said;
  }
}

for (const form of document.querySelectorAll("form[data-camera]")) {
  const output = form.querySelector("output");
  const save = form.querySelector("button:not([type=button])");
  save.dataset.saving = form.dataset.saving;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.dataset.sure && !confirm(form.dataset.sure)) return;
    output.textContent = "";
    busy(save, async () => {
      try {
        await ask(form.action, fields(form, false));
        location.assign(form.dataset.then);
      } catch (error) {
        output.textContent = error.message;
      }
    });
  });
  const probe = form.querySelector("[data-try]");
  probe?.addEventListener("click", () => {
    const list = form.querySelector(".findings");
    lines(list, [probe.dataset.trying]);
    output.textContent = "";
    const data = fields(form, true);
    if (!data.get("id")) data.set("id", "new");
    busy(probe, async () => {
      try {
        const told = await ask(probe.dataset.try, data);
        lines(list, told.lines, told.advice);
        list.dataset.good = told.good;
      } catch (error) {
        lines(list, []);
        output.textContent = error.message;
      }
    });
  });
}

export { busy };
