// Drives the sandbox with Stripe's SDK for Node and says what it saw, as one line of JSON.
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";

const [folder, address] = process.argv.slice(2);
const Stripe = createRequire(pathToFileURL(`${folder}/`))(folder);
const url = new URL(address);
const stripe = new Stripe("sk_test_sandbox", {
  host: url.hostname, port: url.port, protocol: "http", maxNetworkRetries: 0, telemetry: false,
});

const seen = { version: Stripe.API_VERSION ?? stripe.getApiField("version") };
const customer = await stripe.customers.create(
  { name: "Zoë", email: "zoe@example.com", payment_method: "pm_card_visa" },
  { idempotencyKey: "customer" },
);
const again = await stripe.customers.create(
  { name: "Zoë", email: "zoe@example.com", payment_method: "pm_card_visa" },
  { idempotencyKey: "customer" },
);
seen.once = customer.id === again.id;
const [method] = (await stripe.customers.listPaymentMethods(customer.id)).data;
const subscription = await stripe.subscriptions.create({
  customer: customer.id, default_payment_method: method.id, items: [{ price: "price_pro" }],
  expand: ["latest_invoice.payments"],
});
seen.status = subscription.status;
seen.paid = subscription.latest_invoice.payments.data[0].status;
seen.ends = subscription.items.data[0].current_period_end > subscription.created;
try {
  await stripe.customers.retrieve("cus_none");
} catch (error) {
  seen.missing = [error.type, error.code, error.statusCode];
}
seen.types = [];
for await (const event of stripe.events.list({ limit: 3 })) seen.types.push(event.type);
const meter = await stripe.billing.meters.create({
  display_name: "Pages", event_name: "pages", default_aggregation: { formula: "sum" },
});
await stripe.billing.meterEvents.create({
  event_name: "pages", identifier: "a", payload: { stripe_customer_id: customer.id, value: "2" },
});
await stripe.v2.billing.meterEvents.create({
  event_name: "pages", identifier: "b", payload: { stripe_customer_id: customer.id, value: "3" },
});
const minute = Math.floor(subscription.created / 60) * 60;
const used = await stripe.billing.meters.listEventSummaries(meter.id, {
  customer: customer.id, start_time: minute - 60, end_time: minute + 3600,
});
seen.used = used.data[0].aggregated_value;
seen.header = stripe.webhooks.generateTestHeaderString({
  payload: '{"id":"evt_test","object":"event","type":"invoice.paid","amount":"é"}',
  secret: "whsec_test", timestamp: 1700000000,
});
if (process.env.DELIVERY) {
  const { body, signature, secret } = JSON.parse(process.env.DELIVERY);
  const tolerance = 10 ** 9;
  seen.verified = stripe.webhooks.constructEvent(body, signature, secret, tolerance).type;
}
console.log(JSON.stringify(seen));
