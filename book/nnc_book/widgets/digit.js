// The figure "Draw a digit". The texts of dom.js, sws.js and answer.js stand above.

export default { render: answering };
