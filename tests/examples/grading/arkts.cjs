// Checks ArkTS as HarmonyOS's compiler does: types and the rules of the language. Then writes JavaScript for Node.
// node arkts.cjs TARGET FILE.d.ts FILE.ets …
const path = require("node:path");
const fs = require("node:fs");
const ts = require("ohos-typescript");

const [target, ...files] = process.argv.slice(2);
const options = {
  target: ts.ScriptTarget.ES2021,
  moduleResolution: ts.ModuleResolutionKind.NodeJs,
  lib: ["lib.es2021.d.ts"],
  types: [],
  strict: true,
  noEmit: true,
  incremental: true,
};
const host = ts.createIncrementalCompilerHost(options);
const program = ts.createIncrementalProgramForArkTs({ rootNames: files, options, host });
const found = [
  ...program.getSyntacticDiagnostics(),
  ...program.getSemanticDiagnostics(),
  ...ts.ArkTSLinter_1_1.runArkTSLinter(program, undefined, undefined, "ArkTS_1_1"),
];
for (const { file, start, messageText } of found) {
  const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
  console.log(`${file?.fileName}:${line} ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
}
for (const file of files.filter((name) => name.endsWith(".ets"))) {
  const compilerOptions = { ...options, noEmit: false, module: ts.ModuleKind.CommonJS };
  const { outputText } = ts.transpileModule(fs.readFileSync(file, "utf8"), { compilerOptions, fileName: file });
  fs.writeFileSync(path.join(target, `${path.basename(file, ".ets")}.js`), outputText);
}
process.exitCode = found.length ? 1 : 0;
