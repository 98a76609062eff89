// The figure "On paper": a network is read from the picture of its code, and answers a drawing.
// The texts of dom.js, sws.js, answer.js and qr.js stand above.

/** The bytes of the code in a picture, of which 1400 pixels a side are enough, or null. */
function bytesOfCode(picture) {
  const sides = [picture.width, picture.height];
  const size = sides.map((side) => Math.round(side * Math.min(1, 1400 / Math.max(...sides))));
  const pen = new OffscreenCanvas(...size).getContext("2d");
  pen.drawImage(picture, 0, 0, ...size);
  return readCode(pen.getImageData(0, 0, ...size));
}

function render({ model, el }) {
  const root = figureIn(el, "paper", "a network on paper");
  const code = add(root, "img", { class: "code", alt: "The code to read: black and white modules" });
  code.src = `data:image/png;base64,${model.get("code")}`;
  const bar = add(root, "div", { class: "bar" });
  const status = add(root, "p", { class: "status", role: "status" }, "Nothing is read yet.");
  const below = add(el, "div");
  let end = () => 0; // what ends the figure below

  function use(bytes) {
    layersOf(bytes); // what is no network is an error
    end();
    below.replaceChildren();
    const text = btoa(String.fromCharCode(...bytes));
    changing(model)({ files: [text], names: ["On paper"] });
    end = answering({ model, el: below });
    status.textContent = `${count(bytes.length)} bytes read; they are a network, and its checksum is right.`;
  }

  async function read(source) {
    status.textContent = "Reading the picture …";
    try {
      const picture = await createImageBitmap(source);
      await new Promise((done) => setTimeout(done, 30)); // until these words are shown
      const bytes = bytesOfCode(picture);
      if (bytes) use(bytes);
      else status.textContent = "No code could be read. Take all of it, sharp and large.";
    } catch (error) {
      status.textContent = error.message;
    }
  }

  button(bar, "Read the code above", () => read(code));
  const label = add(bar, "label", {}, "or a picture or photograph");
  const file = add(label, "input", { type: "file", accept: "image/*" }); // on a telephone, its camera
  file.onchange = () => file.files[0] && read(file.files[0]);
  return () => end();
}

export default { render };
