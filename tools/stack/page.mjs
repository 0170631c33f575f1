// Opens the page that chats in Chromium, asks, and prints what the page then shows: node page.mjs CHROMIUM ADDRESS PROMPT
// Runs in clients/typescript, whose playwright-core it takes.

import { createRequire } from "node:module";
import { join } from "node:path";

const { chromium } = createRequire(join(process.cwd(), "package.json"))("playwright-core");
const [executablePath, address, prompt] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(90_000);
  await page.goto(address);
  await page.fill("#prompt", prompt);
  await page.click("#send");
  const status = page.locator("#status", { hasText: /tokens|:/ });
  await status.waitFor();
  console.log(await page.innerText("#answer"));
  const said = await status.innerText();
  console.log(said);
  process.exitCode = /^[1-9]\d* tokens$/.test(said) ? 0 : 1;
} finally {
  await browser.close();
}
